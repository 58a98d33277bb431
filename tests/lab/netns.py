"""Network namespaces that cannot outlive the process that made them.

A namespace here has no name under /run/netns: only an open file descriptor holds it. However the process ends, by
SIGKILL too, the kernel removes the namespace with everything in it. Nothing is left to clean up.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000  # sched.h

_libc = ctypes.CDLL(None, use_errno=True)


def _check(returned: int) -> None:
    if returned != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _new_namespace() -> int:
    """A descriptor of a new, empty network namespace. Needs CAP_SYS_ADMIN; raises OSError without it."""
    made: list[int | OSError] = []

    def make() -> None:
        try:
            _check(_libc.unshare(CLONE_NEWNET))
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            made.append(error)

    # unshare moves only the calling thread, so a thread that then ends is the way to keep this process where it is.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    match made[0]:
        case OSError() as error:
            raise error
        case descriptor:
            return descriptor


class Netns:
    """One host of the lab: a network namespace held by an open descriptor."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._descriptor = _new_namespace()
        self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        """Where other processes find it while this one lives, e.g. `nsenter --net=PATH` or `ip link … netns PATH`."""

    def __repr__(self) -> str:
        return f"Netns({self.name})"

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command line so that it runs inside."""
        return ("nsenter", f"--net={self.path}", "--")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread, and only it, is inside: sockets made now belong to this namespace for ever."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(self._descriptor, CLONE_NEWNET))
            try:
                yield
            finally:
                _check(_libc.setns(back, CLONE_NEWNET))
        finally:
            os.close(back)

    def set(self, values: Mapping[str, str | int]) -> None:
        """Write settings under /proc/sys/net, keys as paths below it. Raises OSError where the kernel has none such."""
        with self.inside():
            for key, value in values.items():
                Path("/proc/sys/net", key).write_text(str(value))

    def close(self) -> None:
        """Let go of it. It vanishes once no process and no socket is left inside."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
