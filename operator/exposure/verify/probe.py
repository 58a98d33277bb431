"""Connects, and says what became of it. With nothing beside the standard library, because it also runs in probe pods.

`python -m exposure.verify.probe --result FILE` reads the targets from the environment variable TARGETS, as JSON:
{"timeout": seconds, "parallel": n, "repeat": n, "grace": seconds, "targets": [[address, port, protocol, times, want]]}.
`want` is "o" (open) or "x" (not open); a target that comes otherwise is tried again until `grace` seconds are over,
because the nodes learn of a new pod a moment after it has started; "" is tried once.

It writes one line to FILE: the pod's addresses, a semicolon, and the outcomes as letters, one word a target. That
fits the 4096 bytes that Kubernetes keeps of a termination message for some hundreds of targets.
"""

import argparse
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

#: The letters of a result line.
LETTERS = {"o": "open", "r": "refused", "u": "unreachable", "s": "silent", "n": "untried"}
#: Between two tries of a target that comes otherwise than wanted.
PAUSE_SECONDS = 0.25
_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
_REFUSED = (errno.ECONNREFUSED, errno.ECONNRESET)
#: ENETUNREACH for want of a route, EHOSTUNREACH also by ICMP from a firewall that says no.
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM)


def attempt(address: str, port: int, protocol: str, timeout: float) -> str:
    """One connection to an address or a host name: a letter. Nothing is sent over TCP; over UDP one empty datagram."""
    if protocol not in _KINDS:
        return "n"
    try:
        family, kind, number, _, place = socket.getaddrinfo(address, port, type=_KINDS[protocol])[0]
        with socket.socket(family, kind, number) as client:
            client.settimeout(timeout)
            client.connect(place)
            if protocol == "UDP":
                client.send(b"")
                client.recv(1)
            return "o"
    except TimeoutError:
        return "s"
    except socket.gaierror:
        return "n"
    except OSError as error:
        if error.errno in _REFUSED:
            return "r"
        return "u" if error.errno in _UNREACHABLE else "s"


def own_address(towards: str) -> str:
    """The address that packets to `towards` leave with; empty where there is no way. Sends nothing."""
    try:
        family, kind, number, _, place = socket.getaddrinfo(towards, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, number) as client:
            client.connect(place)
            return str(client.getsockname()[0])
    except OSError:
        return ""


def connect(targets: Sequence[Sequence[Any]], timeout: float, parallel: int, grace: float = 0.0) -> list[str]:
    """The outcomes of each target [address, port, protocol, times, want], in order, as letters."""
    until = time.monotonic() + grace

    def work(target: Sequence[Any]) -> str:
        address, port, protocol, times, want = target
        while True:
            letters = ""
            for _ in range(times):
                letters += attempt(address, port, protocol, timeout)
                if protocol == "UDP" and letters == "s":
                    break  # where nobody answers, more silence says no more
            as_wanted = all((each == "o") == (want == "o") for each in letters)
            if not want or as_wanted or time.monotonic() > until:
                return letters
            time.sleep(PAUSE_SECONDS)

    with ThreadPoolExecutor(max(1, parallel)) as pool:
        return list(pool.map(work, targets))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m exposure.verify.probe", description=__doc__)
    parser.add_argument("--result", metavar="FILE", default="/dev/termination-log")
    arguments = parser.parse_args(argv)
    asked = json.loads(os.environ["TARGETS"])
    targets: list[Sequence[Any]] = asked["targets"]
    found = connect(targets, asked["timeout"], asked["parallel"], asked.get("grace", 0.0))
    sources = ",".join(_sources(str(target[0]) for target in targets))
    line = f"{sources};{' '.join(found)}"
    sys.stdout.write(line + "\n")
    Path(arguments.result).write_text(line)
    return 0


def _sources(addresses: Iterable[str]) -> list[str]:
    """Its own address of each family that it connects in."""
    by_family = {":" in address: address for address in addresses}
    return [own for _, each in sorted(by_family.items()) if (own := own_address(each))]


if __name__ == "__main__":
    sys.exit(main())
