"""Long-running processes that end with the test run, however it ends, and the ports they listen on."""

import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_LEASH = Path(__file__).with_name("leash.py")

# Below the ephemeral ports, so that no outgoing connection takes one between the look and the listen, and below the
# node ports, so that a kube-proxy on the same machine is not in the way.
_PORTS = range(20000, 30000)


class Part:
    """One started process with its log file. It ends with the test process; `stop` ends it earlier."""

    def __init__(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, grace: float = 5.0
    ) -> None:
        """Starts `argv`; both its outputs are appended to `log`; `env` is added to the environment.

        `grace` is how many seconds lie between SIGTERM and SIGKILL when it is stopped or the test process is gone.
        """
        self.name = Path(argv[0]).name
        self.log = log
        self._grace = grace
        with log.open("ab") as output:
            self._leash = subprocess.Popen(
                [sys.executable, "-S", "-E", "-s", str(_LEASH), str(os.getpid()), str(grace), *argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # Ctrl-C is for the test process, which stops the parts in order
            )

    @property
    def pid(self) -> int:
        """The leash's process id; the process itself is its only child."""
        return self._leash.pid

    def is_running(self) -> bool:
        return self._leash.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process itself, past its leash; nothing happens if it has ended."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            for child in children.read_text().split():
                os.kill(int(child), number)
        except (FileNotFoundError, ProcessLookupError):
            return

    def wait(self, timeout: float) -> int:
        """Its exit status, 128 + N if signal N ended it; subprocess.TimeoutExpired if it still runs."""
        return self._leash.wait(timeout)

    def stop(self, *, kill: bool = False) -> int:
        """Ends it, waits until it is gone, and returns what `wait` does; `kill` means SIGKILL at once."""
        if kill:
            self.signal(signal.SIGKILL)
        if self._leash.stdin:
            self._leash.stdin.close()
        return self._leash.wait(self._grace + 10)

    def last_lines(self, count: int = 15) -> str:
        """The end of the log, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Port:
    """A TCP port that no other test process on this machine is given while this object lives."""

    def __init__(self, address: str = "127.0.0.1", *, check: bool = True) -> None:
        """`check` tries that nothing listens on `address` yet; it makes no sense for an address of another network."""
        folder = Path(tempfile.gettempdir()) / f"exposure-ports.{os.getuid()}"
        folder.mkdir(exist_ok=True)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            number = random.choice(_PORTS)
            lock = (folder / str(number)).open("w")
            if _is_locked(lock) or (check and _listening(address, number)):
                lock.close()
                continue
            self.number, self._lock = number, lock
            return
        raise RuntimeError(f"no free TCP port in {_PORTS} within 10 seconds")

    def release(self) -> None:
        self._lock.close()


def _is_locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _listening(address: str, number: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError:
            return True
    return False


def mentioning(text: str) -> list[str]:
    """Other running processes with a text in their command line or environment."""
    processes = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                identity = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:  # it has just ended
                continue
            if text.encode() in identity:
                processes.append(f"{process.name} {identity[:80]!r}")
    return processes
