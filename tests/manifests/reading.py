"""The manifests as objects, built by the real kustomize (in kubectl) and the real template engine of Helm."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
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
    return [document for document in yaml.safe_load_all(text) if document]


def kustomized(name: str) -> list[Object]:
    """What `kubectl apply -k manifests/<name>` would apply."""
    return documents(_output(str(binaries() / "kubectl"), "kustomize", str(MANIFESTS / name)))


@dataclass(frozen=True)
class Rendered:
    """A chart as Helm reads it: the files of its folder crds/, and its rendered templates by file name."""

    crds: str
    templates: Mapping[str, str]


def rendered(values: Mapping[str, Any], folder: Path, namespace: str = "exposure-system") -> Rendered:
    """`folder` is for the values file."""
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    output = _output(str(renderer()), str(CHART), namespace, str(file))
    crds, *templates = output.split("---\n# exposure-operator/templates/")
    return Rendered(crds, dict(template.split("\n", 1) for template in templates))


def templated(values: Mapping[str, Any], folder: Path, namespace: str = "exposure-system") -> list[Object]:
    """What the first `helm install` would apply with these values."""
    chart = rendered(values, folder, namespace)
    # Helm prints NOTES.txt and does not apply it.
    templates = [text for name, text in chart.templates.items() if name != "NOTES.txt"]
    return documents("---\n".join((chart.crds, *templates)))


def only(objects: list[Object], kind: str, name: str = "exposure-operator") -> Object:
    [named] = [raw for raw in objects if raw["kind"] == kind and raw["metadata"]["name"] == name]
    return named


def _output(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
