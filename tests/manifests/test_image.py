"""The Dockerfile, read as text, because no container engine runs here."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

from tests.manifests.reading import REPOSITORY, kustomized, only

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, continuation lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def final_stage() -> list[tuple[str, str]]:
    last = max(index for index, (word, _) in enumerate(instructions()) if word == "FROM")
    return instructions()[last:]


def test_it_runs_as_the_user_of_the_deployment() -> None:
    """Non-root, by number, the same in both places."""
    context = only(kustomized("base"), "Deployment")["spec"]["template"]["spec"]["securityContext"]
    [user] = [rest for word, rest in final_stage() if word == "USER"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"


def test_it_starts_without_a_shell() -> None:
    """The entry point is in exec form, so that SIGTERM arrives, and names a script that the package installs."""
    [entry] = [json.loads(rest) for word, rest in final_stage() if word == "ENTRYPOINT"]
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert (["exposure-operator"], True) == (entry, entry[0] in scripts)


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    """.dockerignore ignores everything but what the Dockerfile copies."""
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!").removesuffix("/*.yaml") for line in ignored if line.startswith("!")}
    copied = [
        path for word, rest in instructions() if word == "COPY" and "--from" not in rest for path in rest.split()[:-1]
    ]
    missing = [path for path in copied if not (REPOSITORY / path).exists()]
    ignored_too = [
        path for path in copied if not any(entry == path or entry.startswith(f"{path}/") for entry in allowed)
    ]
    assert ([], [], "*") == (missing, ignored_too, next(line for line in ignored if line and not line.startswith("#")))


def test_the_wheel_builds_from_what_the_dockerfile_copies(tmp_path: Path) -> None:
    """The build stage has the copied files only, so the build backend must find all that it reads among them."""
    for word, rest in instructions():
        if word != "COPY" or "--from" in rest:
            continue
        *sources, destination = rest.split()
        for source in sources:
            target = tmp_path / destination / (Path(source).name if destination.endswith("/") else "")
            target.parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / source).is_dir():
                shutil.copytree(
                    REPOSITORY / source, target, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True
                )
            else:
                shutil.copy(REPOSITORY / source, target)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(tmp_path / "wheels"), str(tmp_path)], capture_output=True, text=True
    )
    assert 0 == done.returncode, done.stderr
    [wheel] = (tmp_path / "wheels").glob("*.whl")
    # Validation reads the CRDs in the package.
    crds = {path.name for path in (REPOSITORY / "crds").glob("exposure.dev_*.yaml")}
    packaged = {name.rpartition("/")[2] for name in ZipFile(wheel).namelist() if "exposure/validation/crds/" in name}
    assert crds <= packaged


def test_every_package_is_installed_by_its_hash() -> None:
    """Each pip install either uses no index, or takes from it exactly what the lock names.

    Without --no-deps, pip looks on the index for an extra such as coverage[toml], finds a release newer than the
    lock, and fails.
    """
    steps = [step.strip() for word, rest in instructions() if word == "RUN" for step in rest.split("&&")]
    installs = [step for step in steps if "pip install" in step]
    locked = [step for step in installs if {"--require-hashes", "--no-deps"} <= set(step.split())]
    assert [] == [step for step in installs if step not in locked and "--no-index" not in step]
    makefile = (REPOSITORY / "Makefile").read_text()
    assert [] == [line for line in makefile.splitlines() if " -r requirements/" in line and "$(LOCKED)" not in line]
    assert "LOCKED := --require-hashes --no-deps\n" in makefile


def test_the_final_stage_runs_nothing() -> None:
    """The build stage makes what is in the image; the final stage only copies it."""
    assert [] == [rest for word, rest in final_stage() if word in ("RUN", "ADD")]
