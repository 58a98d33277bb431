"""The demo: a real control plane on this machine, the operator with its own rights, and a small shop.

python -m tests.demo           about two minutes, with time to read
python -m tests.demo --fast    without pauses
python -m tests.demo --keep    stays afterwards, for you to go on in another terminal, until Ctrl-C
"""

import argparse
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from tests.demo.screen import Screen
from tests.demo.stage import EmbeddedStage
from tests.demo.story import Unexpected, tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--fast", action="store_true", help="do not pause")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running afterwards, until Ctrl-C")
    wants = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    screen = Screen(fast=wants.fast)
    try:
        with tempfile.TemporaryDirectory(prefix="exposure-demo-") as folder:
            return _play(Path(folder), screen, keep=wants.keep)
    except KeyboardInterrupt:
        return 130


def _play(folder: Path, screen: Screen, *, keep: bool) -> int:
    screen.say(
        "Starting etcd, kube-apiserver and kube-controller-manager. There are no kubelets and no cloud: Nodes, Pods' "
        "status and load balancer addresses are written by this demo, as those would. Everything else is the real "
        "thing."
    )
    with EmbeddedStage(folder) as stage:
        screen.note(f"ready after {screen.seconds:.1f} s")
        try:
            tell(stage, screen)
        except Unexpected as error:
            print(f"demo: {error}\nThe operator's last words:\n{stage.operator.tail()}", file=sys.stderr)
            return 1
        screen.chapter("That was it")
        screen.note(f"{screen.seconds:.0f} s in all")
        if keep:
            _wait(stage, screen)
        else:
            screen.say("With --keep (make demo DEMO=--keep) the cluster stays, for you to go on by hand.")
    return 0


def _wait(stage: EmbeddedStage, screen: Screen) -> None:
    screen.say("The cluster stays until Ctrl-C. In another terminal, with your own kubectl or this one:")
    wanted = {name: value for name, value in stage.environment.items() if name in ("KUBECONFIG", "PATH")}
    path = wanted["PATH"].split(":")[:2]
    print(f"\nexport KUBECONFIG={shlex.quote(wanted['KUBECONFIG'])}")
    print(f"export PATH={shlex.quote(':'.join(path))}:$PATH   # kubectl of this version, and kubectl exposure")
    print("kubectl get exposures -A\n", flush=True)
    while True:
        signal.pause()


def _end(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
