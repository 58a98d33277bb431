"""The entry point: arguments in, exit status out."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from exposure.cli import commands
from exposure.cli.command import WRONG, Wrong
from exposure.cli.terminal import safe

DESCRIPTION = """\
Finds every entry point of a cluster (load balancers, node ports, external IPs, ingresses, gateways), and says what is open, to
whom, why, and what no NetworkPolicy can hold back.
"""
EPILOG = """\
examples:
  kubectl exposure map                             every entry point of the cluster
  kubectl exposure map -f manifests/ -o json       the same from files, without a cluster
  kubectl exposure plan -n shop                    what the operator would write, and why
  kubectl exposure plan -f shop.yaml -o yaml       the NetworkPolicies themselves
  kubectl exposure explain shop/web                every source, port and blind spot of one Service
  kubectl exposure verify -n shop                  real connections, expected against seen
  kubectl exposure flows flows.json                who came, who was dropped, what is open and never used

exit status: 0 done; 1 differences or failures that were asked for; 2 wrong use or unreadable input
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; `argv` None: the process's own arguments."""
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except Wrong as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"kubectl exposure: {safe(line)}\n")
        return WRONG
    except BrokenPipeError:
        # `… | head`: nobody reads on. Python would complain once more while it closes standard output.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubectl exposure",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kubectl exposure {_version()}")
    below = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    for command in commands.COMMANDS:
        each = below.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(each)
        each.set_defaults(run=command.run)
    return parser


def _version() -> str:
    try:
        return version("exposure-operator")
    except PackageNotFoundError:
        return "(not installed)"
