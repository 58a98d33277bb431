"""The demo: a real control plane on this machine, the operator with its own rights, and a small shop.

python -m tests.demo           two to three minutes, with time to read
python -m tests.demo --fast    without pauses
python -m tests.demo --keep    stays afterwards, for you to go on in another terminal, until Ctrl-C
python -m tests.demo --no-lab  without packets, as where there is no root

As root on Linux it plays in a lab of network namespaces: nodes, pods and clients whose connections are real, and that
touch nothing outside.
"""

import argparse
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.cluster.binaries import binaries
from tests.demo.lab_stage import LabStage, hindrance
from tests.demo.screen import Screen
from tests.demo.stage import EmbeddedStage, Stage
from tests.demo.story import Unexpected, tell
from tests.lab.metallb.build import metallb


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--fast", action="store_true", help="do not pause")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running afterwards, until Ctrl-C")
    parser.add_argument("--no-lab", action="store_true", help="run the API server alone, without packets")
    wants = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    screen = Screen(fast=wants.fast)
    try:
        with tempfile.TemporaryDirectory(prefix="exposure-demo-") as folder:
            return _play(_stage(Path(folder), screen, lab=not wants.no_lab), screen, keep=wants.keep)
    except KeyboardInterrupt:
        return 130


def _stage(folder: Path, screen: Screen, *, lab: bool) -> Stage:
    why_not = hindrance() if lab else "--no-lab was asked for"
    if why_not:
        screen.say(
            f"No packets this time: {why_not}. Starting etcd, kube-apiserver and kube-controller-manager alone. Nodes, "
            "Pods' status and load balancer addresses are written by this demo, as kubelets and a cloud would. "
            "Everything else is real."
        )
    else:
        screen.say(
            "Starting a cluster in network namespaces of this machine: two nodes with kube-proxy and MetalLB, and some "
            "hosts outside. Packets are real. Pods are small servers that report the client's address. The lab's own "
            "enforcer (nftables) enforces NetworkPolicies; make lab compares it with an independent oracle."
        )
    binaries()
    if not why_not:
        metallb()
    # From here on nothing leaves this machine, and no proxy would find an address of the demo.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    return EmbeddedStage(folder) if why_not else LabStage()


def _play(stage: Stage, screen: Screen, *, keep: bool) -> int:
    with ExitStack() as held:
        with screen.busy("starting"):
            held.enter_context(stage)
        screen.note(f"ready after {screen.seconds:.1f} s")
        try:
            tell(stage, screen)
        except Unexpected as error:
            print(f"demo: {error}\nThe last lines of the operator's log:\n{stage.last_words()}", file=sys.stderr)
            return 1
        screen.chapter("Done")
        screen.note(f"{screen.seconds:.0f} s in all")
        if keep:
            _wait(stage, screen)
        screen.say("To keep the cluster running, use make demo DEMO=--keep.")
    return 0


def _wait(stage: Stage, screen: Screen) -> None:
    screen.say("The cluster stays until Ctrl-C. In another terminal, with your own kubectl or this one:")
    print("", *stage.how_to_go_on(), "", sep="\n", flush=True)
    while True:
        signal.pause()


def _end(*_: object) -> None:
    """Ends the demo, once: whoever presses Ctrl-C again does not break into the tidying up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
