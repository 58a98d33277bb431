"""What a subcommand is, and how it ends: with an exit status, or with an error that says what to do."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

#: Exit statuses, as documented: done; differences or failures that were asked for; wrong use or unreadable input.
DONE, DIFFERENT, UNUSABLE = 0, 1, 2


class UsageError(Exception):
    """Wrong use or unreadable input. The process writes the message to standard error and ends with status 2."""


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: `arguments` adds its options to a parser, `run` does it and returns the exit status.

    `run` itself imports what takes long to import, so that no other subcommand waits for it.
    """

    name: str
    summary: str
    description: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]
    epilog: str = ""
