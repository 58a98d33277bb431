"""nftables transactions, through libnftables: no process to start, so a change is in force within milliseconds."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_nft = ctypes.CDLL("libnftables.so.1")
_nft.nft_ctx_new.restype = ctypes.c_void_p
_nft.nft_ctx_new.argtypes = [ctypes.c_uint32]
_nft.nft_ctx_free.argtypes = [ctypes.c_void_p]
_nft.nft_ctx_buffer_error.argtypes = [ctypes.c_void_p]
_nft.nft_ctx_buffer_output.argtypes = [ctypes.c_void_p]
_nft.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
_nft.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
_nft.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Nftables:
    """The packet filter of one network namespace. Used by one thread only."""

    def __init__(self, namespace: Path) -> None:
        """`namespace` is a file such as /run/netns/NAME or /proc/PID/ns/net. Raises OSError where there is none."""
        self._namespace = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _enter(self._namespace)
        try:
            self._context = _nft.nft_ctx_new(0)
            _nft.nft_ctx_buffer_error(self._context)
            _nft.nft_ctx_buffer_output(self._context)
        finally:
            _enter(self._home)

    def run(self, commands: str) -> None:
        """All of the commands in one transaction, or none. Raises ValueError with nft's message."""
        _enter(self._namespace)
        try:
            failed = _nft.nft_run_cmd_from_buffer(self._context, commands.encode())
            complaint = _nft.nft_ctx_get_error_buffer(self._context)
        finally:
            _enter(self._home)
        if failed:
            raise ValueError(f"nft refused: {complaint.decode()}\n{commands}")

    def close(self) -> None:
        """Let go of the namespace; its rules stay."""
        _nft.nft_ctx_free(self._context)
        os.close(self._namespace)
        os.close(self._home)
