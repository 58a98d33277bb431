"""The status of ClusterExposurePolicies: when it is due, and what it says."""

import asyncio
from collections.abc import Mapping

import pytest
from kubernetes.aio.client import Configuration

from exposure.controller.client import Client
from exposure.controller.cluster_policies import NamespacePart, cluster_outcome, not_programmed_message
from exposure.controller.operator import CLUSTER, Operator
from exposure.model.config import Config
from exposure.model.exposures import PolicyVerdict
from exposure.model.intent import ClusterSpec, InvalidSpec, Policy


def _cluster_policy(version: int) -> dict[str, object]:
    metadata = {"name": "platform", "uid": "1", "generation": version, "resourceVersion": str(version)}
    return {"kind": "ClusterExposurePolicy", "metadata": metadata, "spec": {}}


def test_due_also_where_a_pass_was_first_to_see_the_change() -> None:
    """A namespace's pass that is the first to ask for the new facts does not take the report away. Seen in the lab."""

    async def due() -> list[bool]:
        client = Client(Configuration())
        operator = Operator(Config(), client, (None, 8080), leader_elect=False)
        operator.store.begun = True
        due_now = []
        for version in (1, 2):
            operator.store.tables["ClusterExposurePolicy"].put(_cluster_policy(version))
            operator.store.cluster_facts()  # as a pass does
            operator._refresh_facts()
            due_now.append(operator.scheduler.reports.has(CLUSTER))
            operator.scheduler.reports.clear()
        operator._refresh_facts()
        due_now.append(operator.scheduler.reports.has(CLUSTER))
        await client.close()
        return due_now

    # The last time, nothing has changed since.
    assert [True, True, False] == asyncio.run(due())


DONE, FAILED = NamespacePart(), NamespacePart("the API server refuses it")


@pytest.mark.parametrize(
    "parts, message",
    [
        pytest.param({}, "", id="no-namespace"),
        pytest.param({"a": DONE, "b": DONE}, "", id="programmed-everywhere"),
        pytest.param({"a": DONE, "b": FAILED}, "b: the API server refuses it", id="one-namespace"),
        pytest.param({"a": None}, "a: not reconciled yet", id="a-namespace-without-a-pass"),
        pytest.param(
            dict.fromkeys("abcde", FAILED),
            "a: the API server refuses it; b: the API server refuses it; c: the API server refuses it; and 2 more",
            id="too-many-to-name",
        ),
    ],
)
def test_the_message_names_the_first_namespaces(parts: Mapping[str, NamespacePart | None], message: str) -> None:
    """Three of them. The status lists all that the policy selects."""
    known = {namespace: part for namespace, part in parts.items() if part is not None}
    assert message == not_programmed_message(parts, known)


@pytest.mark.parametrize(
    "spec, parts, verdict",
    [
        pytest.param(ClusterSpec(), {"a": DONE}, (True, "Accepted"), id="accepted"),
        pytest.param(
            ClusterSpec(),
            {"a": DONE, "b": NamespacePart(refusals={"platform": PolicyVerdict(False, "AuditWouldCut", "Why.")})},
            (False, "AuditWouldCut"),
            id="refused-in-one-namespace",
        ),
        pytest.param(InvalidSpec("spec.limits", "is a word"), {"a": DONE}, (False, "Invalid"), id="invalid"),
        pytest.param(ClusterSpec(), {}, (True, "Accepted"), id="in-a-namespace-without-a-pass"),
    ],
)
def test_a_policy_is_accepted_where_no_namespace_refuses_it(
    spec: ClusterSpec | InvalidSpec, parts: Mapping[str, NamespacePart], verdict: tuple[bool, str]
) -> None:
    """One verdict for all namespaces that it selects."""
    outcome = cluster_outcome(Policy("", "platform", spec), ("a", "b"), parts)
    assert verdict == (outcome.verdict.accepted, outcome.verdict.reason)
    assert ("a", "b") == outcome.namespaces
