"""A real Kubernetes control plane on free ports: etcd, kube-apiserver, kube-controller-manager.

    with ControlPlane(tmp_path) as cluster:
        cluster.kubectl("create", "namespace", "shop")

There is no kubelet and no scheduler: Nodes and Pods are objects that a test writes. Everything else (admission, CEL,
RBAC, garbage collection, EndpointSlices, namespace deletion) is real.
"""

import base64
import json
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster import audit
from tests.cluster.audit import AuditEvent
from tests.cluster.binaries import binaries
from tests.cluster.processes import Part, Port
from tests.cluster.signing_key import new_elliptic_curve_key

READY_SECONDS = 60.0
SERVICE_CIDRS = "10.96.0.0/16,fd00:10:96::/112"

# Documentation address (RFC 5737): the API server publishes itself in the EndpointSlice default/kubernetes, which may
# hold no loopback address.
ADVERTISED = "192.0.2.1"

# Nodes here send no heartbeat, so these controllers would mark them as unreachable.
_CONTROLLERS = "*,-node-lifecycle-controller,-taint-eviction-controller"


class ControlPlane:
    """One cluster. `start` and `stop`, or a `with` block; several live side by side.

    `root`            folder for data, certificates and logs; made if missing, one per cluster
    `version`         Kubernetes version such as "1.35.4"; None: $EXPOSURE_TEST_KUBERNETES, else that of go.mod
    `exec_prefix`     put before every command, such as ("ip", "netns", "exec", NAME)
    `address`         where everything listens; the prefix's network must have it
    `apiserver_flags` added at the end, so that they win
    `controllers`     False: no kube-controller-manager
    """

    def __init__(
        self,
        root: Path,
        *,
        version: str | None = None,
        exec_prefix: Sequence[str] = (),
        address: str = "127.0.0.1",
        apiserver_flags: Sequence[str] = (),
        controllers: bool = True,
    ) -> None:
        self.root = root
        self.address = address
        self.admin_token = secrets.token_hex(16)
        self.ca_file = root / "certificates" / "apiserver.crt"
        self.kubeconfig = root / "admin.kubeconfig"
        self.audit_log = root / "audit.log"
        self.binaries = binaries(version)
        self._prefix = tuple(exec_prefix)
        self._apiserver_flags = tuple(apiserver_flags)
        self._controllers = controllers
        self._ports: list[Port] = []
        self._etcd: Part | None = None
        self._apiserver: Part | None = None
        self._controller_manager: Part | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self._ports[0].number}"

    @property
    def etcd_url(self) -> str:
        return f"http://{self.address}:{self._ports[1].number}"

    def start(self) -> None:
        """Starts every part and returns when the API server is ready; raises RuntimeError with the end of a log."""
        try:
            self._prepare()
            self._etcd = self._start_etcd()
            self._apiserver = self._start_apiserver()
            self._wait_ready()
            if self._controllers:
                self._controller_manager = self._start_controller_manager()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kills every part: the data is not read again. May be called twice."""
        for part in (self._controller_manager, self._apiserver, self._etcd):
            if part:
                part.stop(kill=True)
        self._controller_manager = self._apiserver = self._etcd = None
        for port in self._ports:
            port.release()

    def stop_apiserver(self, *, kill: bool = False) -> None:
        """Stops the API server alone; etcd keeps the data. `kill` is a crash; otherwise it ends in good order."""
        if self._apiserver:
            self._apiserver.stop(kill=kill)
            self._apiserver = None

    def start_apiserver(self) -> None:
        """Starts it again, on the same port, and waits until it is ready."""
        self._apiserver = self._apiserver or self._start_apiserver()
        self._wait_ready()

    def restart_apiserver(self, *, kill: bool = False) -> None:
        self.stop_apiserver(kill=kill)
        self.start_apiserver()

    def compact(self) -> int:
        """Compacts etcd at its present revision, which is returned.

        Older continue tokens and watches from an older resourceVersion are still served from the API server's memory;
        after `restart_apiserver` both get 410 (observed with 1.36.3).
        """
        answer = self._etcd_call("/v3/kv/range", {"key": base64.b64encode(b"/").decode(), "limit": "1"})
        revision = int(answer["header"]["revision"])
        self._etcd_call("/v3/kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True, timeout: float = 60.0) -> str:
        """Standard output of the real kubectl as cluster administrator; with `check`, a failure is a RuntimeError."""
        ran = self._kubectl(["--kubeconfig", str(self.kubeconfig), *arguments], input, timeout)
        if check and ran.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: exit status {ran.returncode}: {ran.stderr.strip()}")
        return ran.stdout

    def kubectl_result(
        self, *arguments: str, input: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """The same, with exit status and standard error, for calls that should be refused."""
        return self._kubectl(["--kubeconfig", str(self.kubeconfig), *arguments], input, timeout)

    def service_account_token(self, namespace: str, name: str, *, duration: str = "24h") -> str:
        """A token of that ServiceAccount, from the TokenRequest API; the ServiceAccount must exist."""
        return self.kubectl("create", "token", name, "--namespace", namespace, "--duration", duration).strip()

    def write_kubeconfig(
        self, path: Path, token: str, *, server: str | None = None, namespace: str = "default"
    ) -> Path:
        """A kubeconfig for `token`, self-contained, readable by its owner only; `server` replaces the cluster's URL."""
        ca = base64.b64encode(self.ca_file.read_bytes()).decode()
        name = "exposure-test"
        cluster = {"server": server or self.url, "certificate-authority-data": ca}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))
        return path

    def audit_mark(self) -> int:
        """A place in the audit log; requests answered from now on come after it."""
        return self.audit_log.stat().st_size if self.audit_log.exists() else 0

    def audit_events(self, since: int = 0) -> Iterator[AuditEvent]:
        """What `audit.events` yields after a mark."""
        return audit.events(self.audit_log, since)

    def writes(self, user: str | None = None, since: int = 0) -> list[AuditEvent]:
        """What `audit.writes` finds after a mark."""
        return audit.writes(self.audit_events(since), user)

    def _prepare(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        same_network = not self._prefix
        self._ports = [Port(self.address, check=same_network) for _ in range(4)]
        self._file("audit-policy.yaml", audit.POLICY)
        self._file("service-account.key", new_elliptic_curve_key())
        self._manager_token = secrets.token_hex(16)
        self._file(
            "tokens.csv",
            f"{self.admin_token},admin,admin,system:masters\n"
            # A user of its own, so that the audit log distinguishes the two.
            f"{self._manager_token},kube-controller-manager,kube-controller-manager,system:masters\n",
        )

    def _start_etcd(self) -> Part:
        peer = f"http://{self.address}:{self._ports[2].number}"
        return self._part(
            "etcd",
            f"--data-dir={self.root / 'etcd'}",
            f"--listen-client-urls={self.etcd_url}",
            f"--advertise-client-urls={self.etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def _start_apiserver(self) -> Part:
        key = self.root / "service-account.key"
        return self._part(
            "kube-apiserver",
            f"--etcd-servers={self.etcd_url}",
            f"--bind-address={self.address}",
            f"--advertise-address={ADVERTISED if self.address.startswith('127.') else self.address}",
            f"--secure-port={self._ports[0].number}",
            f"--cert-dir={self.ca_file.parent}",
            f"--service-cluster-ip-range={SERVICE_CIDRS}",
            f"--token-auth-file={self.root / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            # It would refuse Pods in a namespace whose default ServiceAccount is not there yet.
            "--disable-admission-plugins=ServiceAccount",
            f"--audit-policy-file={self.root / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=100000",  # MB, or it is rotated away under the reader
            "--profiling=false",
            *self._apiserver_flags,
        )

    def _start_controller_manager(self) -> Part:
        config = self.write_kubeconfig(self.root / "controller-manager.kubeconfig", self._manager_token)
        return self._part(
            "kube-controller-manager",
            f"--kubeconfig={config}",
            f"--controllers={_CONTROLLERS}",
            f"--service-account-private-key-file={self.root / 'service-account.key'}",
            f"--root-ca-file={self.ca_file}",
            f"--cert-dir={self.root / 'controller-manager'}",
            f"--bind-address={self.address}",
            f"--secure-port={self._ports[3].number}",
            "--allocate-node-cidrs=false",
            "--leader-elect=false",
            "--profiling=false",
        )

    def _part(self, name: str, *flags: str) -> Part:
        return Part([*self._prefix, str(self.binaries / name), *flags], log=self.root / f"{name}.log")

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            for part in (self._etcd, self._apiserver):
                if part and not part.is_running():
                    raise RuntimeError(f"{part.log.stem} ended while starting:\n{part.last_lines()}")
            # The certificate appears before the port opens; asking earlier would only take time from the start.
            if self.ca_file.exists():
                self.write_kubeconfig(self.kubeconfig, self.admin_token)
                if self.kubectl("get", "--raw", "/readyz", check=False) == "ok":
                    return
            time.sleep(0.1)
        assert self._apiserver
        raise RuntimeError(f"kube-apiserver is not ready after {READY_SECONDS:.0f} s:\n{self._apiserver.last_lines()}")

    def _etcd_call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        # kubectl as the HTTP client: it exists anyway, and reaches etcd through the prefix, too.
        ran = self._kubectl(
            ["--kubeconfig", "/dev/null", "--server", self.etcd_url, "create", "--raw", path, "-f", "-"],
            json.dumps(body),
            30,
        )
        if ran.returncode != 0:
            raise RuntimeError(f"etcd {path}: {ran.stderr.strip()}")
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer

    def _kubectl(self, arguments: list[str], input: str | None, timeout: float) -> subprocess.CompletedProcess[str]:
        cache = self.root / "kubectl-cache"  # discovery; never that of the user's own kubectl
        return subprocess.run(
            [*self._prefix, str(self.binaries / "kubectl"), "--cache-dir", str(cache), *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def _file(self, name: str, text: str) -> None:
        path = self.root / name
        path.touch(mode=0o600)
        path.write_text(text)
