"""When the status of ClusterExposurePolicies is due."""

import asyncio

from kubernetes.aio.client import Configuration

from exposure.controller.client import Client
from exposure.controller.operator import CLUSTER, Operator, OperatorOptions
from exposure.model.config import Config


def _cluster_policy(version: int) -> dict[str, object]:
    metadata = {"name": "platform", "uid": "1", "generation": version, "resourceVersion": str(version)}
    return {"kind": "ClusterExposurePolicy", "metadata": metadata, "spec": {}}


def test_due_also_where_a_pass_was_first_to_see_the_change() -> None:
    """A namespace's pass that is the first to ask for the new facts does not take the report away. Seen in the lab."""

    async def due() -> list[bool]:
        client = Client(Configuration())
        operator = Operator(OperatorOptions(Config(), leader_elect=False), client)
        found = []
        for version in (1, 2):
            operator.store.tables["ClusterExposurePolicy"].put(_cluster_policy(version))
            operator.store.cluster_facts()  # as a pass does
            operator._refresh_facts()
            found.append(operator.scheduler.reports.has(CLUSTER))
            operator.scheduler.reports.clear()
        operator._refresh_facts()
        found.append(operator.scheduler.reports.has(CLUSTER))
        await client.close()
        return found

    # The last time, nothing has changed since.
    assert [True, True, False] == asyncio.run(due())
