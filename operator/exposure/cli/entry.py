"""The process: arguments in, exit status out."""

import argparse
import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from exposure.cli import explain, flows, map, plan, verify
from exposure.cli.command import DONE, UNUSABLE, Command, UsageError
from exposure.cli.inputs import add_input_options
from exposure.cli.terminal import warn, wrapped

#: In the order of the help. A new subcommand is a module with a `COMMAND`, and its name here.
COMMANDS: tuple[Command, ...] = (map.COMMAND, plan.COMMAND, explain.COMMAND, verify.COMMAND, flows.COMMAND)
INTERRUPTED = 130
HELP_WIDTH = 100
DESCRIPTION = (
    "Finds every entry point of a cluster (load balancers, node ports, external IPs, ingresses, gateways), and shows "
    "what is open, to whom, why, and what no NetworkPolicy can hold back."
)
EPILOG = """\
examples:
  kubectl exposure map                             every entry point of the cluster
  kubectl exposure map -f manifests/ -o json       the same from files, without a cluster
  kubectl exposure plan -n shop                    what the operator would write, and why
  kubectl exposure plan -f shop.yaml -o yaml       the NetworkPolicies themselves
  kubectl exposure explain shop/web                every source, port and blind spot of one Service
  kubectl exposure verify -n shop                  real connections: what is expected, and what is observed
  kubectl exposure flows flows.json                who connected, who was dropped, what is open and never used

exit status: 0 done; 1 differences or failures that were asked for; 2 wrong use or unreadable input
"""
NOT_WRITTEN = "The output cannot be written: {reason}."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; `argv` None: the process's own arguments."""
    parser = _parser()
    try:
        arguments = parser.parse_args(_subcommand_first(sys.argv[1:] if argv is None else list(argv)))
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except UsageError as error:
        for line in str(error).splitlines():
            warn(line)
        return UNUSABLE
    except BrokenPipeError:
        # `… | head` has closed the pipe. Python would report it once more while it closes standard output.
        _discard_output()
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        warn(NOT_WRITTEN.format(reason=error.strerror))
        _discard_output()
        return UNUSABLE


def _discard_output() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubectl exposure",
        description=wrapped(DESCRIPTION, width=HELP_WIDTH),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kubectl exposure {_version()}")
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=wrapped(command.description, width=HELP_WIDTH),
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _subcommand_first(argv: list[str]) -> list[str]:
    """The same arguments with the subcommand first: kubectl takes `-n shop map`, argparse only `map -n shop`."""
    leading = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    add_input_options(leading)
    leading.add_argument("-o", "--output")
    leading.add_argument("rest", nargs=argparse.REMAINDER)
    try:
        parsed, unknown = leading.parse_known_args(argv)
    except argparse.ArgumentError:
        return argv  # The parser proper will name what is wrong.
    rest: list[str] = parsed.rest
    return [rest[0], *argv[: len(argv) - len(rest)], *rest[1:]] if rest else unknown


def _version() -> str:
    try:
        return version("exposure-operator")
    except PackageNotFoundError:
        return "(not installed)"
