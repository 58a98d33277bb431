"""The manifests as objects, built by the real kustomize (in kubectl) and the real template engine of Helm."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.cluster.binaries import binaries
from tests.manifests.helm.build import renderer

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = REPOSITORY / "manifests"
CHART = MANIFESTS / "chart" / "exposure-operator"
Object: TypeAlias = dict[str, Any]


def documents(text: str) -> list[Object]:
    return [each for each in yaml.safe_load_all(text) if each]


def kustomized(name: str) -> list[Object]:
    """What `kubectl apply -k manifests/<name>` would apply."""
    return documents(_output(str(binaries() / "kubectl"), "kustomize", str(MANIFESTS / name)))


def templated(values: Mapping[str, Any], folder: Path, namespace: str = "exposure-system") -> list[Object]:
    """What `helm install` would apply with these values; `folder` is for the values file."""
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    rendered = _output(str(renderer()), str(CHART), namespace, str(file))
    # NOTES.txt is rendered with the templates; helm prints it and applies it nowhere.
    parts = [part for part in rendered.split("---\n") if "templates/NOTES.txt" not in part.split("\n", 1)[0]]
    return documents("---\n".join(parts))


def only(objects: list[Object], kind: str, name: str = "exposure-operator") -> Object:
    [found] = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def _output(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
