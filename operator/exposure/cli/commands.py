"""The subcommands, in the order of the help. A new one is a module with a `COMMAND`, and its name here."""

from exposure.cli import explain, flows, map, plan, verify
from exposure.cli.command import Command

COMMANDS: tuple[Command, ...] = (map.COMMAND, plan.COMMAND, explain.COMMAND, verify.COMMAND, flows.COMMAND)
