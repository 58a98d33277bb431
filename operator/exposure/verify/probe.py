"""Connects, and reports what became of it. Only the standard library, because it also runs in probe pods.

`python -m exposure.verify.probe --result FILE` reads the targets from the environment variable TARGETS, as JSON:
{"timeout": seconds, "parallel": n, "grace": seconds, "targets": [[address, port, protocol, times, expected]]}.
`expected` is "o" (open), "x" (not open), or "" (either). A target that comes out otherwise is tried again until `grace`
seconds have passed, because the nodes learn about a new pod a moment after it has started.

It writes one line to FILE: the pod's addresses, a semicolon, and one word for each target, with a letter for each
connection: o open, r refused, u unreachable, s silent, n not tried. For some hundreds of targets that fits the 4096
bytes that Kubernetes keeps of a termination message.
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

#: Between two tries of a target that comes out otherwise than expected.
PAUSE_SECONDS = 0.25
_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
_REFUSED = (errno.ECONNREFUSED, errno.ECONNRESET)
#: ENETUNREACH without a route, EHOSTUNREACH also by ICMP from a firewall that rejects.
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM)


def attempt(address: str, port: int, protocol: str, timeout: float) -> str:
    """One connection to an address or host name; a letter. Sends nothing over TCP, one empty datagram over UDP."""
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
    """The source address of packets to `towards`; empty where there is no route. Sends nothing."""
    try:
        family, kind, number, _, place = socket.getaddrinfo(towards, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, number) as client:
            client.connect(place)
            return str(client.getsockname()[0])
    except OSError:
        return ""


def connect(targets: Sequence[Sequence[Any]], timeout: float, parallel: int, grace: float = 0.0) -> list[str]:
    """The outcomes of each target [address, port, protocol, times, expected], in order, as letters."""
    until = time.monotonic() + grace

    def work(target: Sequence[Any]) -> str:
        address, port, protocol, times, expected = target
        while True:
            letters = ""
            for _ in range(times):
                letters += attempt(address, port, protocol, timeout)
                if protocol == "UDP" and letters == "s":
                    break  # A second datagram without an answer proves no more than the first.
            as_expected = all((letter == "o") == (expected == "o") for letter in letters)
            if not expected or as_expected or time.monotonic() > until:
                return letters
            time.sleep(PAUSE_SECONDS)

    with ThreadPoolExecutor(max(1, parallel)) as pool:
        return list(pool.map(work, targets))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m exposure.verify.probe", description=__doc__)
    parser.add_argument("--result", metavar="FILE", default="/dev/termination-log")
    arguments = parser.parse_args(argv)
    job = json.loads(os.environ["TARGETS"])
    targets: list[Sequence[Any]] = job["targets"]
    words = connect(targets, job["timeout"], job["parallel"], job.get("grace", 0.0))
    sources = ",".join(_sources(str(target[0]) for target in targets))
    line = f"{sources};{' '.join(words)}"
    sys.stdout.write(line + "\n")
    Path(arguments.result).write_text(line)
    return 0


def _sources(addresses: Iterable[str]) -> list[str]:
    """The pod's own address in each family that it connects in."""
    by_family = {":" in address: address for address in addresses}
    return [own for _, target in sorted(by_family.items()) if (own := own_address(target))]


if __name__ == "__main__":
    sys.exit(main())
