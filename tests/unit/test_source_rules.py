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
    blocks = tuple(Block(network(cidr)) for cidr in cidrs)
    targets = tuple(PolicyPort("TCP", port) for port in ports)
    return Source(SourceKind.CLIENTS, blocks, targets, ROWS[0], "Clients.", "https://example.com/", peers)


@pytest.mark.parametrize(
    "sources, expected",
    [
        pytest.param([], [], id="no-source-no-rule"),
        pytest.param([source()], [], id="a-source-without-addresses-admits-none-not-everyone"),
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
            id="a-block-within-a-wider-one-is-left-out",
        ),
        pytest.param(
            [source(peers=(PROXY,)), source("192.0.2.0/24")],
            [f"192.0.2.0/24, {PROXY} at tcp/8080"],
            id="addresses-before-pods",
        ),
    ],
)
def test_sources_become_the_fewest_rules(sources: list[Source], expected: list[str]) -> None:
    """A source without addresses or ports has no rule, because an empty list in a rule would mean everything."""
    rules = [
        f"{', '.join(map(str, rule.peers or ()))} at {' '.join(map(str, rule.ports or ()))}"
        for rule in source_rules(sources)
    ]
    assert expected == rules
