"""Runs one command and never outlives the process that started it.

    python leash.py PARENT_PID GRACE_SECONDS COMMAND [ARGUMENT …]

The leash ends the command (SIGTERM, and SIGKILL after a grace period) when standard input reaches its end or when the
starting process is gone: both happen however that process dies, by SIGKILL too. Both are watched because neither is
enough: a forked child of the starting process keeps the pipe open, and the parent is checked only twice a second.
Its exit status is the command's, 128 + N where signal N ended it.
PR_SET_PDEATHSIG alone would not do, because it fires when the *thread* that started the command ends; between the
leash, which has one thread, and its command it is right, and covers the leash's own SIGKILL.

Started as a script with -S -E -s, it imports nothing of the project and starts in about ten milliseconds.
"""

import ctypes
import os
import select
import signal
import sys
import time
from types import FrameType

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    parent, grace, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    leash = os.getpid()
    # A signal only has to wake up the wait below, through the pipe that it writes to.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    received: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, remember)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    child = os.fork()
    if child == 0:
        _become(command, leash)
    while (status := _status(child)) is None:
        ready, _, _ = select.select([sys.stdin, woken], [], [], 0.5)
        if woken in ready:
            os.read(woken, 512)
        if received or sys.stdin in ready or os.getppid() != parent:
            return _end(child, woken, grace)
    return status


def _become(command: list[str], leash: int) -> None:
    """In the forked child: dies with the leash, and leads a process group, to be ended with all that it starts."""
    os.setpgid(0, 0)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != leash:  # it died before the line above
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _end(child: int, woken: int, grace: float) -> int:
    _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (status := _status(child)) is None and time.monotonic() < deadline:
        # SIGCHLD shortens the wait; so does a second SIGTERM, which has no other effect.
        if select.select([woken], [], [], 0.05)[0]:
            os.read(woken, 512)
    _signal_group(child, signal.SIGKILL)  # also what it may have started
    return _exit_status(os.waitpid(child, 0)[1]) if status is None else status


def _status(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    return _exit_status(status) if pid else None


def _exit_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _signal_group(child: int, number: int) -> None:
    try:
        os.killpg(child, number)
    except (ProcessLookupError, PermissionError):
        # No such group: either all of it is gone, or the child has not reached setpgid yet.
        try:
            os.kill(child, number)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    sys.exit(main())
