"""Manifests as projects publish them, with nothing changed in them, and an ExposurePolicy with an empty spec beside.

They stay outside of this repository: PUBLISHED_MANIFESTS names a folder of them (*.yaml). Without it, the lookalikes in
this folder stand for them.
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
FOUND = sorted(Path(FOLDER).glob("*.yaml")) if FOLDER else sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("path", FOUND, ids=[path.stem for path in FOUND])
def test_an_empty_policy_opens_the_entry_points_and_tells_what_it_cuts(path: Path, tmp_path: Path) -> None:
    """Entry points stay open to their pods, nothing else is opened, and a webhook that is cut off is named."""
    objects = [each for each in yaml.safe_load_all(path.read_text()) if each and "kind" in each]
    objects = [each for each in objects if each["kind"] not in ("ExposurePolicy", "NetworkPolicy")]
    entry_points = [
        each for each in objects if each["kind"] == "Service" and each["spec"].get("type") == "LoadBalancer"
    ]
    node_ports = [each for each in objects if each["kind"] == "Service" and each["spec"].get("type") == "NodePort"]
    namespaces = sorted({_namespace(each) for each in [*entry_points, *node_ports]})
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
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]
        for each in yaml.safe_load_all(_run("plan", "-f", str(given), "-o", "yaml"))
    }
    exposures = {each["name"]: each for each in json.loads(_run("map", "-f", str(given), "-o", "json"))}

    expected = {(namespace, "exposure-default-deny") for namespace in namespaces}
    for service in [*entry_points, *node_ports]:
        namespace, name = _namespace(service), service["metadata"]["name"]
        expected.add((namespace, f"exposure-to-{name}"))
        spec = policies[namespace, f"exposure-to-{name}"]
        targets = {each.get("targetPort", each["port"]) for each in service["spec"]["ports"]}
        assert service["spec"]["selector"] == spec["podSelector"]["matchLabels"]
        assert targets == {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
        assert all(rule["from"] for rule in spec["ingress"])
    assert expected == set(policies)
    for namespace in _called(objects) & set(namespaces):
        told = [
            spot["reason"]
            for each in exposures.values()
            if each["namespace"] == namespace
            for spot in each["blindSpots"]
        ]
        assert "WebhookUnreachable" in told


def _called(objects: list[dict[str, Any]]) -> set[str]:
    """The namespaces whose Services the API server calls as admission webhooks."""
    return {
        hook["clientConfig"]["service"]["namespace"]
        for each in objects
        if each["kind"].endswith("WebhookConfiguration")
        for hook in each["webhooks"]
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
