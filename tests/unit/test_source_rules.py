"""From sources to rules: the fewest that admit each source at its ports."""

import pytest

from exposure.addresses import Block, network
from exposure.catalog.decision_table import ROWS
from exposure.labels import selecting
from exposure.model.exposures import Source, SourceKind
from exposure.networkpolicy.values import Peer, PolicyPort
from exposure.resolve.governed import source_rules

PROXY = Peer(pods=selecting({"app": "proxy"}))


def source(*cidrs: str, ports: tuple[int, ...] = (8080,), peers: tuple[Peer, ...] = ()) -> Source:
    blocks = tuple(Block(network(each)) for each in cidrs)
    targets = tuple(PolicyPort("TCP", each) for each in ports)
    return Source(SourceKind.CLIENTS, blocks, targets, ROWS[0], "Clients.", "https://example.com/", peers)


@pytest.mark.parametrize(
    "sources, expected",
    [
        pytest.param([], [], id="no-source-no-rule"),
        pytest.param([source()], [], id="a-source-without-addresses-admits-nobody-not-everybody"),
        pytest.param([source("192.0.2.0/24", ports=())], [], id="a-source-without-ports-opens-none-not-all"),
        pytest.param(
            [source("192.0.2.0/24"), source("198.51.100.0/24")],
            ["192.0.2.0/24, 198.51.100.0/24 at tcp/8080"],
            id="sources-of-one-port-share-a-rule",
        ),
        pytest.param(
            [source("192.0.2.0/24", ports=(8443, 8080))],
            ["192.0.2.0/24 at tcp/8080 tcp/8443"],
            id="ports-that-admit-the-same-share-a-rule",
        ),
        pytest.param(
            [source("192.0.2.0/24"), source("192.0.2.0/28", "198.51.100.0/24", ports=(8443,))],
            ["192.0.2.0/24 at tcp/8080", "192.0.2.0/28, 198.51.100.0/24 at tcp/8443"],
            id="others-do-not",
        ),
        pytest.param(
            [source("192.0.2.0/24"), source("192.0.2.0/28")],
            ["192.0.2.0/24 at tcp/8080"],
            id="what-a-wider-block-holds-is-not-said-again",
        ),
        pytest.param(
            [source(peers=(PROXY,)), source("192.0.2.0/24")],
            [f"192.0.2.0/24, {PROXY} at tcp/8080"],
            id="addresses-before-pods",
        ),
    ],
)
def test_source_rules(sources: list[Source], expected: list[str]) -> None:
    """An empty list in a rule would mean everything, so a source that resolves to nothing leaves no rule behind."""
    found = [
        f"{', '.join(map(str, rule.peers or ()))} at {' '.join(map(str, rule.ports or ()))}"
        for rule in source_rules(sources)
    ]
    assert expected == found
