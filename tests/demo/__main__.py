"""The demo: a real control plane on this machine, the operator with its own rights, and a small shop.

python -m tests.demo           two to three minutes, with time to read
python -m tests.demo --fast    without pauses
python -m tests.demo --keep    leaves the cluster running until Ctrl-C, for use from another terminal
python -m tests.demo --no-lab  without packets, as on a machine without root

As root on Linux it runs in network namespaces: nodes, pods and clients with real connections, none of which leaves the
machine.
"""

import argparse
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.cluster.binaries import binaries
from tests.demo.lab_stage import LabStage, reason_without_lab
from tests.demo.screen import Screen
from tests.demo.stage import EmbeddedStage, Stage
from tests.demo.story import Unexpected, play
from tests.lab.metallb.build import metallb


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--fast", action="store_true", help="do not pause")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running afterwards, until Ctrl-C")
    parser.add_argument("--no-lab", action="store_true", help="the API server alone, even where packets are possible")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    screen = Screen(fast=arguments.fast)
    try:
        with tempfile.TemporaryDirectory(prefix="exposure-demo-") as folder:
            return _play(_stage(Path(folder), screen, lab=not arguments.no_lab), screen, keep=arguments.keep)
    except KeyboardInterrupt:
        return 130


def _stage(folder: Path, screen: Screen, *, lab: bool) -> Stage:
    why_not = reason_without_lab() if lab else "--no-lab was given"
    if why_not:
        screen.say(
            f"No packets this time: {why_not}. Starting etcd, kube-apiserver and kube-controller-manager. The demo "
            "writes nodes, the status of Pods and load balancer addresses, as kubelets and a cloud would. Everything "
            "else is real."
        )
    else:
        screen.say(
            "Starting a cluster in network namespaces of this machine: two nodes with kube-proxy and MetalLB, three "
            "hosts outside. Packets are real. Each pod is a small server that answers with the source address that it "
            "saw. An enforcer of the project's own (nftables) enforces NetworkPolicies; make lab compares it with an "
            "independent analyzer."
        )
    binaries()
    if not why_not:
        metallb()
    # From here on no connection leaves this machine, and no proxy could reach an address of the demo.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    return EmbeddedStage(folder) if why_not else LabStage()


def _play(stage: Stage, screen: Screen, *, keep: bool) -> int:
    with ExitStack() as held:
        with screen.busy("starting the cluster"):
            held.enter_context(stage)
        screen.note(f"ready after {screen.seconds:.1f} s")
        try:
            play(stage, screen)
        except Unexpected as error:
            print(f"demo: {error}\nThe end of the operator's log:\n{stage.log_tail()}", file=sys.stderr)
            return 1
        screen.chapter("Done")
        screen.note(f"{screen.seconds:.0f} s in all")
        if keep:
            _wait(stage, screen)
        screen.say("make demo DEMO=--keep leaves the cluster running, so that you can try commands of your own.")
    return 0


def _wait(stage: Stage, screen: Screen) -> None:
    screen.say("The cluster runs until Ctrl-C. In another terminal:")
    print("", *stage.next_commands(), "", sep="\n", flush=True)
    while True:
        signal.pause()


def _end(*_: object) -> None:
    """Ends the demo. A second Ctrl-C does not interrupt the cleanup."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
