"""Unchanged manifests of published projects, with an ExposurePolicy with an empty spec beside them.

They are not part of this repository: PUBLISHED_MANIFESTS names a folder of them (*.yaml). Without it, the similar
manifests in this folder are used.
"""

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from exposure.cli import main

FOLDER = os.environ.get("PUBLISHED_MANIFESTS")
MANIFESTS = sorted(Path(FOLDER).glob("*.yaml")) if FOLDER else sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("path", MANIFESTS, ids=[path.stem for path in MANIFESTS])
def test_an_empty_policy_exposes_the_entry_points_and_nothing_else(path: Path, tmp_path: Path) -> None:
    """Entry points still reach their pods, nothing else is admitted, and a webhook that is cut off is reported."""
    objects = [raw for raw in yaml.safe_load_all(path.read_text()) if raw and "kind" in raw]
    objects = [raw for raw in objects if raw["kind"] not in ("ExposurePolicy", "NetworkPolicy")]
    entry_points = [raw for raw in objects if raw["kind"] == "Service" and raw["spec"].get("type") == "LoadBalancer"]
    node_ports = [raw for raw in objects if raw["kind"] == "Service" and raw["spec"].get("type") == "NodePort"]
    namespaces = sorted({_namespace(raw) for raw in [*entry_points, *node_ports]})
    written = (
        {"entryPoints": ["LoadBalancer", "Ingress", "Gateway", "NodePort"]} if node_ports and not entry_points else {}
    )
    intent = [
        {
            "apiVersion": "exposure.dev/v1alpha1",
            "kind": "ExposurePolicy",
            "metadata": {"name": "edge", "namespace": namespace},
            "spec": written,
        }
        for namespace in namespaces
    ]
    given = tmp_path / "given.yaml"
    given.write_text(yaml.safe_dump_all([*objects, *intent]))

    policies = {
        (manifest["metadata"]["namespace"], manifest["metadata"]["name"]): manifest["spec"]
        for manifest in yaml.safe_load_all(_run("plan", "-f", str(given), "-o", "yaml"))
    }
    exposures = {exposure["name"]: exposure for exposure in json.loads(_run("map", "-f", str(given), "-o", "json"))}

    expected = {(namespace, "exposure-default-deny") for namespace in namespaces}
    for service in [*entry_points, *node_ports]:
        namespace, name = _namespace(service), service["metadata"]["name"]
        expected.add((namespace, f"exposure-to-{name}"))
        spec = policies[namespace, f"exposure-to-{name}"]
        targets = {port.get("targetPort", port["port"]) for port in service["spec"]["ports"]}
        assert service["spec"]["selector"] == spec["podSelector"]["matchLabels"]
        assert targets == {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
        assert all(rule["from"] for rule in spec["ingress"])
    assert expected == set(policies)
    for namespace in _called(objects) & set(namespaces):
        reported = [
            spot["reason"]
            for exposure in exposures.values()
            if exposure["namespace"] == namespace
            for spot in exposure["blindSpots"]
        ]
        assert "WebhookUnreachable" in reported


def _called(objects: list[dict[str, Any]]) -> set[str]:
    """The namespaces whose Services the API server calls as admission webhooks."""
    return {
        hook["clientConfig"]["service"]["namespace"]
        for raw in objects
        if raw["kind"].endswith("WebhookConfiguration")
        for hook in raw["webhooks"]
        if "service" in hook["clientConfig"]
    }


def _namespace(raw: dict[str, Any]) -> str:
    return str(raw["metadata"].get("namespace", "default"))


def _run(*arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    assert 0 == status, err.getvalue()
    return out.getvalue()
