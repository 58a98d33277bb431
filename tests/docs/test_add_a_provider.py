"""docs/how-to/add-a-provider.md, followed literally: a row and a scenario of a made-up provider, no other edit."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml

from tests.cluster.api import exposure_policy, namespace, service
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import install_crds
from tests.cluster.operated import Operated
from tests.cluster.operator_process import OperatorProcess, eventually

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "how-to" / "add-a-provider.md"
CATALOG = "operator/exposure/catalog/providers.py"
SCENARIO = "tests/scenarios/providers/example.yaml"
ROWS = "ROWS: tuple[LoadBalancerProfile, ...] = (\n"
#: What the generator writes.
GENERATED = re.compile(r"docs/reference/.*\.md|crds/.*\.yaml|manifests/base/config\.yaml")
#: The addresses of the made-up load balancer, as in its row.
OWN_ADDRESSES = [{"ipBlock": {"cidr": "198.51.100.0/24"}}]


def code(language: str) -> str:
    """The first block of code of the page in that language."""
    block = re.search(rf"(?ms)^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"))
    assert block is not None
    return block[1]


class Tree:
    """A copy of the repository, and the programs in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *arguments: str) -> str:
        """Runs Python there; its output. AssertionError with what it wrote if it fails."""
        environment = {**os.environ, "PYTHONPATH": f"{self.root / 'operator'}{os.pathsep}{self.root}"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=environment, capture_output=True, text=True, timeout=120
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    def kubectl_exposure(self, *arguments: str) -> str:
        return self.run("-c", "import sys; from exposure.cli import main; sys.exit(main(sys.argv[1:]))", *arguments)

    def map(self, *documents: Any, config: Any = None) -> list[dict[str, Any]]:
        """The Exposures of these objects."""
        path, settings = self.root / "objects.yaml", self.root / "config.yaml"
        path.write_text(yaml.safe_dump_all(documents))
        settings.write_text(yaml.safe_dump(config or {}))
        exposures: list[dict[str, Any]] = json.loads(
            self.kubectl_exposure("map", "-f", str(path), "--config", str(settings), "-o", "json")
        )
        return exposures


def contents(root: Path) -> dict[str, bytes]:
    """The content of the tracked files and of added pages; of a symbolic link, its target."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    pages = (str(path.relative_to(root)) for path in root.glob("docs/reference/**/*.md"))
    paths = {name: root / name for name in sorted({*tracked.stdout.split("\0"), *pages, SCENARIO}) if name}
    return {
        name: os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        for name, path in paths.items()
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The tracked files with the page's row and scenario, and what the generator then writes."""
    root = tmp_path_factory.mktemp("tree")
    for name in contents(REPOSITORY):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, root / name, follow_symlinks=False)
    before = contents(root)
    catalog = (root / CATALOG).read_text(encoding="utf-8")
    assert 1 == catalog.count(ROWS)
    row = f"{indent(code('python').rstrip(), '    ')},\n"
    (root / CATALOG).write_text(catalog.replace(ROWS, ROWS + row), encoding="utf-8")
    (root / SCENARIO).write_text(code("yaml"), encoding="utf-8")
    tree = Tree(root)
    tree.run("-m", "tests.docs")
    after = contents(root)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert {CATALOG, SCENARIO} == {name for name in changed if not GENERATED.fullmatch(name)}
    assert {
        "crds/exposure.dev_exposurepolicies.yaml",
        "crds/exposure.dev_clusterexposurepolicies.yaml",
        "docs/reference/providers/README.md",
        "docs/reference/providers/example.md",
        "docs/reference/resources.md",
        "manifests/base/config.yaml",
    } == {name for name in changed if GENERATED.fullmatch(name)}
    return tree


def objects(annotations: Any = None, policy: Any = None, provider_id: str = "", **spec: Any) -> list[Any]:
    """A namespace with a LoadBalancer Service and an ExposurePolicy, on one node."""
    web = service("shop", "web", **spec)
    web["metadata"]["annotations"] = annotations or {}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "spec": {"providerID": provider_id},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
    }
    return [namespace("shop"), node, web, exposure_policy("shop", **(policy or {}))]


def test_the_new_row_passes_its_scenario_and_the_tests_of_the_catalog(tree: Tree) -> None:
    """Like every other row it has a source, is in the CRDs, and has a page."""
    chosen = ["tests/scenarios/test_scenarios.py", "tests/unit/test_facts.py", "tests/docs/test_pages.py"]
    options = ["-v", "--no-cov", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "example or facts or pages"]
    passed = tree.run("-m", "pytest", *options, *chosen)
    assert "test_scenario[providers/example] PASSED" in passed


@pytest.mark.parametrize(
    "given, config, profile",
    [
        pytest.param({"annotations": {"lb.example.com/size": "small"}}, None, "example", id="by-its-annotation"),
        pytest.param({"loadBalancerClass": "lb.example.com/pods"}, None, "example", id="by-its-class"),
        pytest.param({"provider_id": "example://1"}, None, "example", id="by-the-nodes"),
        pytest.param({}, {"network": {"provider": "example"}}, "example", id="as-configured"),
        pytest.param({"policy": {"loadBalancer": {"profile": "example"}}}, None, "example", id="by-the-policy"),
        pytest.param({}, None, "metallb", id="not-without-any-of-these"),
    ],
)
def test_the_new_row_is_chosen(tree: Tree, given: Any, config: Any, profile: str) -> None:
    """Each way in which a row can be chosen works without another edit."""
    (exposure,) = tree.map(*objects(**given), config=config)
    assert profile == exposure["profile"]
    admitted = {block["cidr"] for source in exposure["sources"] for block in source["cidrs"]}
    assert (profile == "example") == (admitted == {"198.51.100.0/24"})


def test_the_new_variant_keeps_the_clients_address(tree: Tree) -> None:
    """With the annotation of the variant, clients are admitted beside health checks."""
    (exposure,) = tree.map(*objects(annotations={"lb.example.com/mode": "Pass-Through"}))
    assert {"Clients", "HealthChecks"} == {source["kind"] for source in exposure["sources"]}


def has_the_new_profile(operated: Operated, where: str) -> bool:
    return bool(operated.exposures(where).get("service-web", {}).get("profile") == "example")


def test_the_operator_uses_the_new_row(tree: Tree, fresh_control_plane: ControlPlane, tmp_path: Path) -> None:
    """On a real API server: the CRD accepts the profile, and the annotation decides what the NetworkPolicy admits."""
    install_crds(fresh_control_plane, tree.root / "crds")
    environment = {"PYTHONPATH": str(tree.root / "operator")}
    with OperatorProcess(fresh_control_plane, tmp_path / "operator", environment=environment) as process:
        operated = Operated(fresh_control_plane, process)
        annotated = operated.new_namespace()
        web = service(annotated, "web")
        web["metadata"]["annotations"] = {"lb.example.com/size": "small"}
        operated.api.create(web)
        operated.api.create(exposure_policy(annotated))
        named = operated.new_namespace()
        operated.api.create(service(named, "web"))
        operated.api.create(exposure_policy(named, loadBalancer={"profile": "example"}))
        for where in (annotated, named):
            policies = operated.until_policies(where, "exposure-default-deny", "exposure-to-web")
            assert OWN_ADDRESSES == policies["exposure-to-web"]["ingress"][0]["from"]
            # An Exposure may still be the one from before the policy, with the profile of the cluster's default.
            eventually(partial(has_the_new_profile, operated, where), 20, "an Exposure of the new row")
