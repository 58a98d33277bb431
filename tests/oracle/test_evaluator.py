"""The evaluator that the plan's tests rely on, against network-config-analyzer."""

from itertools import product

import pytest

from tests.lab.generate import NUMBERS, OUTSIDE, PROTOCOLS, generate
from tests.oracle.opinion import Nca
from tests.plan.evaluator import Cluster, Party


@pytest.mark.parametrize("seed", range(40))
def test_both_read_policies_alike(seed: int, nca: Nca) -> None:
    """On random policies, pod by pod and port by port, in IPv4."""
    cluster = generate(seed, pods=6, policies=5)
    names = {each["metadata"]["name"]: each["metadata"]["labels"] for each in cluster.namespaces}
    evaluator = Cluster(names, cluster.policies)
    opinion = nca.read(cluster.namespaces, cluster.pods, cluster.policies)
    pods = [
        Party(
            pod["status"]["podIP"],
            pod["metadata"]["namespace"],
            tuple(sorted(pod["metadata"]["labels"].items())),
            tuple(
                (port["name"], port["protocol"], port["containerPort"])
                for port in pod["spec"]["containers"][0]["ports"]
            ),
        )
        for pod in cluster.pods
    ]
    outside = [Party(address) for address in OUTSIDE if ":" not in address]
    pairs = [*product(pods, [*pods, *outside]), *product(outside, pods)]
    questions = [(*pair, *what) for pair in pairs for what in product(PROTOCOLS, (*NUMBERS, 1))]
    assert [] == [each for each in questions if evaluator.allows(*each) != opinion.allows(*each)]
