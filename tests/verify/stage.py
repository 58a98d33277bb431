"""The lab of the tests of verify: a shop with two entry points, an operator, a small kubelet."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exposure.verify.pods import LABELS
from tests.lab.kubelet import Kubelet
from tests.lab.lab import Lab
from tests.lab.operated import Operator
from tests.lab.pods import PodSpec

PACKAGE = Path(__file__).resolve().parents[2] / "operator"
CLIENTS = ["192.0.2.128/26", "2001:db8::80:0/112"]
COMMAND = "import sys; from exposure.cli import main; sys.exit(main())"
SECONDS = 120

Manifest = dict[str, Any]


def service(name: str, kind: str, port: int, target: int, **more: object) -> Manifest:
    spec = {
        "type": kind,
        "selector": {"app": name},
        "ports": [{"name": "main", "port": port, "targetPort": target}],
        "ipFamilyPolicy": "PreferDualStack",
        **more,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": name},
        "spec": spec,
    }


class Stage:
    """`web` (Cluster) and `api` (Local) have load balancers for some clients, `db` has no entry point.

    The operator ends when everything is written, so that what a test breaks stays broken until the test restores it.
    """

    def __init__(self, lab: Lab, cni: str = "kube-router") -> None:
        self.lab = lab
        lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        for name, port in (("web", 8080), ("api", 9090)):
            lab.add_pods([PodSpec("shop", f"{name}-{n}", n, {"app": name}, serves=(("TCP", port),)) for n in lab.nodes])
        lab.add_pods([PodSpec("shop", "db-0", "n1", {"app": "db"}, serves=(("TCP", 5432),))])
        with Operator(lab, network={"cni": cni}) as operator:
            lab.apply(
                service("web", "LoadBalancer", 80, 8080),
                service("api", "LoadBalancer", 81, 9090, externalTrafficPolicy="Local"),
                service("db", "ClusterIP", 5432, 5432),
                {
                    "apiVersion": "exposure.dev/v1alpha1",
                    "kind": "ExposurePolicy",
                    "metadata": {"namespace": "shop", "name": "edge"},
                    "spec": {"clients": {"cidrs": CLIENTS}},
                },
            )
            for name in ("web", "api"):
                lab.wait_for_addresses("shop", name, 2)
            operator.wait_quiet()
            self.config = lab.root / "operator" / "config.yaml"
        self.kubelet = Kubelet(lab, LABELS)

    def verify(self, *options: str, client: str = "allowed", output: str = "json") -> tuple[int, str, str]:
        """Exit status, standard output and standard error of the command, run on a host outside the cluster."""
        command, environment = self._command(*options, client=client, output=output)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        return done.returncode, done.stdout, done.stderr

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """The command, left running."""
        command, environment = self._command(*options)
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _command(
        self, *options: str, client: str = "allowed", output: str = "json"
    ) -> tuple[list[str], dict[str, str]]:
        command = [
            *self.lab.clients[client].netns.prefix,
            *(sys.executable, "-c", COMMAND, "verify"),
            *("-n", "shop", "--kubeconfig", str(self.lab.cluster.kubeconfig), "--config", str(self.config)),
            *("--timeout", "1500ms", "-o", output),
            *options,
        ]
        return command, {**os.environ, "PYTHONPATH": str(PACKAGE)}

    def checks(self, *options: str, client: str = "allowed") -> tuple[int, list[Manifest]]:
        """Exit status, and the checks."""
        status, out, err = self.verify(*options, client=client)
        assert out, err
        checks: list[Manifest] = json.loads(out)
        return status, checks

    @contextmanager
    def other_policy(self, name: str, spec: Mapping[str, Any] | None) -> Iterator[None]:
        """Inside the block, one of the operator's policies has another spec, or does not exist."""
        live = self.lab.api.get("NetworkPolicy", "shop", name)
        metadata = {key: live["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
        kind: Manifest = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
        back: Manifest = {**kind, "metadata": metadata, "spec": live["spec"]}
        owners = live["metadata"].get("ownerReferences")
        if owners:
            metadata["ownerReferences"] = owners
        self._put(back, None if spec is None else {**back, "spec": {**copy.deepcopy(live["spec"]), **spec}})
        try:
            yield
        finally:
            self._put(back, back)

    def _put(self, old: Manifest, new: Manifest | None) -> None:
        self.lab.delete("NetworkPolicy", "shop", old["metadata"]["name"])
        if new is not None:
            self.lab.apply(new)

    def policy(self, name: str) -> Manifest:
        spec: Manifest = self.lab.api.get("NetworkPolicy", "shop", name)["spec"]
        return spec


def causes(checks: list[Manifest]) -> set[str]:
    """The reasons of all connections with another outcome than expected."""
    return {check["cause"]["reason"] for check in checks if "cause" in check and "target" in check}
