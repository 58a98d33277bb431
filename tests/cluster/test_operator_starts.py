"""What the process says of a command line or an environment that leads nowhere: one sentence, and exit status 2."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.operator_process import REPOSITORY

#: Nothing listens there (RFC 5737), and nothing is asked before the probes are served.
SERVER = "https://192.0.2.1:6443"


def ran(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("KUBE")}
    return subprocess.run(
        [sys.executable, "-m", "exposure", *arguments],
        env={**inherited, "PYTHONPATH": str(REPOSITORY / "operator"), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def kubeconfig(**changes: Any) -> str:
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": SERVER}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    return json.dumps({**whole, **changes})


@pytest.mark.parametrize(
    "content, named",
    [
        pytest.param(None, "it does not exist", id="missing"),
        pytest.param("", "the form of a kubeconfig", id="empty"),
        pytest.param("{", "", id="no-yaml"),
        pytest.param("[1, 2]", "the form of a kubeconfig", id="a-list"),
        pytest.param("\x00\x01", "", id="binary"),
        pytest.param(kubeconfig(**{"current-context": "there"}), "there", id="no-such-current-context"),
        pytest.param(kubeconfig(clusters=[]), "clusters", id="no-cluster"),
        pytest.param(
            kubeconfig(clusters=[{"name": "c", "cluster": {"server": SERVER, "certificate-authority": "/no/ca.crt"}}]),
            "/no/ca.crt",
            id="a-certificate-that-is-missing",
        ),
        pytest.param(
            kubeconfig(clusters=[{"name": "c", "cluster": {"server": SERVER, "certificate-authority-data": "bm8="}}]),
            "",
            id="a-certificate-that-is-none",
        ),
    ],
)
def test_a_kubeconfig_without_credentials_is_named(tmp_path: Path, content: str | None, named: str) -> None:
    """The sentence has the file, what is wrong with it, and the options that choose another one."""
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    done = ran("--kubeconfig", str(path))
    assert (2, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert done.stderr.startswith(f"exposure-operator: credentials cannot be read from kubeconfig {path}: ")
    assert named in done.stderr
    assert "--context" in done.stderr


def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    """A file that cannot be read is one sentence, too."""
    done = ran("--kubeconfig", str(tmp_path))
    assert (2, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr


def test_a_context_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig())
    done = ran("--kubeconfig", str(tmp_path / "kubeconfig"), "--context", "elsewhere")
    assert (2, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert "elsewhere" in done.stderr


def test_a_pod_without_a_service_account_is_told_so() -> None:
    """In a cluster the token may not be mounted: `automountServiceAccountToken: false`."""
    done = ran(KUBERNETES_SERVICE_HOST="192.0.2.1", KUBERNETES_SERVICE_PORT="443")
    assert (2, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert "the pod's ServiceAccount" in done.stderr


@pytest.mark.parametrize("written", ["nonsense", ":", ":http", ":65536", ":-1", ":²"])
def test_an_address_that_is_none_is_refused(written: str) -> None:
    """With the usage, as for every other option."""
    done = ran("--listen", written)
    assert 2 == done.returncode
    assert f"argument --listen: {written!r} is not [ADDRESS]:PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = ran("--kubeconfig", str(tmp_path / "kubeconfig"), "--listen", f"127.0.0.1:{port}")
    assert (2, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert f"127.0.0.1, port {port}" in done.stderr
    assert "--listen" in done.stderr


@pytest.mark.parametrize(
    "content, named",
    [
        pytest.param("network: {cni: cilum}", "network.cni", id="a-typing-error"),
        pytest.param("{", "", id="no-yaml"),
        pytest.param(None, "No such file", id="missing"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, content: str | None, named: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    done = ran("--config", str(path))
    assert 2 == done.returncode
    assert done.stderr.startswith(f"exposure-operator: {path}: ")
    assert named in done.stderr
    assert "Traceback" not in done.stderr
