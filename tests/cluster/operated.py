"""A cluster in which the operator runs, and what has become of its namespaces."""

import itertools
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cluster.api import Api, Object, namespace
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import install_crds
from tests.cluster.operator_process import USER, OperatorProcess, eventually

_numbers = itertools.count(1)
#: What the operator may write, as the audit log names resources; status subresources with a slash.
WRITABLE = frozenset(
    {
        "networkpolicies",
        "exposures",
        "exposurepolicies/status",
        "clusterexposurepolicies/status",
        "events",
        "leases",
    }
)


class Operated:
    """`api` for what a person does, `operator` for the process, and what has become of a namespace."""

    def __init__(self, cluster: ControlPlane, operator: OperatorProcess) -> None:
        self.cluster = cluster
        self.operator = operator
        self.api = Api(cluster)

    def new_namespace(self, **annotations: str) -> str:
        name = f"t{next(_numbers)}-{uuid.uuid4().hex[:6]}"
        self.api.create(namespace(name, **annotations))
        return name

    def policies(self, where: str) -> dict[str, Object]:
        """The specs of the operator's NetworkPolicies in a namespace, by name."""
        policies = self.api.items("NetworkPolicy", where)
        return {policy["metadata"]["name"]: policy["spec"] for policy in policies if is_ours(policy)}

    def exposures(self, where: str) -> dict[str, Object]:
        return {exposure["metadata"]["name"]: exposure["status"] for exposure in self.api.items("Exposure", where)}

    def until_policies(self, where: str, *names: str, seconds: float = 10.0) -> dict[str, Object]:
        """Waits until the operator's policies in a namespace are exactly these."""
        wanted = set(names)
        eventually(
            lambda: set(self.policies(where)) == wanted,
            seconds,
            f"policies {sorted(wanted)} in {where}",
            self.more(where),
        )
        return self.policies(where)

    def until_ready(self, where: str, name: str = "edge", seconds: float = 10.0) -> Object:
        """Waits until an ExposurePolicy is Ready at its present generation; its status."""

        def status() -> Object | None:
            policy = self.api.get("ExposurePolicy", where, name) or {}
            status = policy.get("status", {})
            fresh = status.get("observedGeneration") == policy.get("metadata", {}).get("generation")
            return status if fresh and condition(status, "Ready")["status"] == "True" else None

        return eventually(status, seconds, f"ExposurePolicy {where}/{name} is Ready", self.more(where)) or {}

    def until_condition(self, where: str, name: str, kind: str, status: str, seconds: float = 10.0) -> Object:
        def reached() -> Object | None:
            current = condition((self.api.get("ExposurePolicy", where, name) or {}).get("status", {}), kind)
            return current if current["status"] == status else None

        return eventually(reached, seconds, f"{kind}={status} of {where}/{name}", self.more(where)) or {}

    def settle(self, quiet: float = 1.5, seconds: float = 60.0) -> None:
        """Waits until both queues are empty and nothing but the lease was written for `quiet` seconds."""

        def quiet_for_long_enough() -> bool:
            mark = self.cluster.audit_mark()
            time.sleep(quiet)
            waiting = sum(
                self.operator.metric("exposure_queue_depth", stage=stage) for stage in ("policies", "reports")
            )
            return not waiting and not self.writes(since=mark)

        eventually(quiet_for_long_enough, seconds, "the operator has nothing left to write", self.operator.tail)

    def writes(self, since: int = 0) -> list[Object]:
        """The operator's writes since a mark of the audit log, without the renewal of its lease."""
        writes = self.cluster.writes(USER, since)
        return [write for write in writes if write["objectRef"]["resource"] != "leases"]

    def more(self, where: str) -> Any:
        return lambda: json.dumps(
            {"policies": sorted(self.policies(where)), "log": self.operator.tail().splitlines()[-5:]}, indent=1
        )


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """A cluster of the module's own, with the operator running in it; afterwards the audit log is checked."""
    root = tmp_path_factory.mktemp("operated")
    with ControlPlane(root / "cluster") as cluster:
        install_crds(cluster)
        with OperatorProcess(cluster, root / "operator") as operator:
            yield Operated(cluster, operator)
            assert operator.running, operator.tail()
            assert "Traceback" not in operator.log.read_text(), operator.tail()
        assert_only_own_writes(cluster)


def assert_only_own_writes(cluster: ControlPlane) -> None:
    """Invariant 6, by the server's own record: the operator writes only what it owns, and needs no right it lacks."""
    requests = [request for request in cluster.audit_events() if request["user"]["username"] == USER]
    refused = [
        f"{request['verb']} {request['requestURI']}"
        for request in requests
        # A namespace that is being deleted also answers 403 to creations.
        if request.get("responseStatus", {}).get("code") == 403 and "being terminated" not in json.dumps(request)
    ]
    assert refused == []
    written = {resource_of(request) for request in cluster.writes(USER)}
    assert written <= WRITABLE
    foreign = [
        request["requestURI"]
        for request in cluster.writes(USER)
        if request["objectRef"]["resource"] == "networkpolicies"
        and not request["objectRef"].get("name", "").startswith("exposure-")
    ]
    assert foreign == []


def resource_of(event: Mapping[str, Any]) -> str:
    reference = event["objectRef"]
    return "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)


def is_ours(raw: Object) -> bool:
    labels = raw["metadata"].get("labels") or {}
    return bool(labels.get("app.kubernetes.io/managed-by") == "exposure-operator")


def condition(status: Object, kind: str) -> Object:
    for entry in status.get("conditions") or ():
        if entry["type"] == kind:
            return dict(entry)
    return {"type": kind, "status": "absent", "reason": "", "message": ""}
