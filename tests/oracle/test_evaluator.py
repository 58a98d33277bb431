"""The product's evaluator, and the one that the plan's tests rely on, against network-config-analyzer."""

from itertools import product

import pytest

from tests.lab.generate import NUMBERS, OUTSIDE, PROTOCOLS, generate
from tests.oracle.asked import Asked, namespace_labels, parties
from tests.oracle.opinion import Nca
from tests.plan.evaluator import Cluster, Party


@pytest.mark.parametrize("seed", range(60))
def test_all_three_read_policies_alike(seed: int, nca: Nca) -> None:
    """On random policies, pod by pod and port by port, in IPv4. Where everything is known, no verdict is unknown."""
    cluster = generate(seed, pods=6, policies=5)
    names = namespace_labels(cluster)
    evaluator, asked = Cluster(names, cluster.policies), Asked(names, cluster.policies)
    opinion = nca.read(cluster.namespaces, cluster.pods, cluster.policies)
    pods = parties(cluster)
    outside = [Party(address) for address in OUTSIDE if ":" not in address]
    pairs = [*product(pods, [*pods, *outside]), *product(outside, pods)]
    questions = [(*pair, *what) for pair in pairs for what in product(PROTOCOLS, (*NUMBERS, 1))]
    verdicts = {question: "allowed" if opinion.allows(*question) else "denied" for question in questions}
    assert [] == [each for each in questions if evaluator.allows(*each) != (verdicts[each] == "allowed")]
    assert [] == [each for each in questions if asked.verdict(*each) != verdicts[each]]
