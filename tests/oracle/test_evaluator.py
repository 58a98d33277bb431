"""The product's evaluator, and the one that the plan's tests rely on, against network-config-analyzer."""

from itertools import product

import pytest

from tests.lab.generate import NUMBERS, OUTSIDE, PROTOCOLS, generate
from tests.oracle.analyzer import Nca
from tests.oracle.product import ProductEvaluator, namespace_labels, parties
from tests.plan.evaluator import Cluster, Party


@pytest.mark.parametrize("seed", range(60))
def test_three_evaluators_agree(seed: int, nca: Nca) -> None:
    """On random policies, pod by pod and port by port, in IPv4. Where everything is known, no verdict is unknown."""
    cluster = generate(seed, pods=6, policies=5)
    names = namespace_labels(cluster)
    evaluator, product_evaluator = Cluster(names, cluster.policies), ProductEvaluator(names, cluster.policies)
    oracle = nca.read(cluster.namespaces, cluster.pods, cluster.policies)
    pods = parties(cluster)
    outside = [Party(address) for address in OUTSIDE if ":" not in address]
    pairs = [*product(pods, [*pods, *outside]), *product(outside, pods)]
    questions = [(*pair, *what) for pair in pairs for what in product(PROTOCOLS, (*NUMBERS, 1))]
    verdicts = {question: "allowed" if oracle.allows(*question) else "denied" for question in questions}
    assert [] == [
        question for question in questions if evaluator.allows(*question) != (verdicts[question] == "allowed")
    ]
    assert [] == [question for question in questions if product_evaluator.verdict(*question) != verdicts[question]]
