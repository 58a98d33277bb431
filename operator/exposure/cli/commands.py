"""The subcommands, in the order of the help. A new one is a module with a `COMMAND`, and its name here."""

from exposure.cli import doors, explain, flows, plan, verify
from exposure.cli.command import Command

COMMANDS: tuple[Command, ...] = (doors.COMMAND, plan.COMMAND, explain.COMMAND, verify.COMMAND, flows.COMMAND)
