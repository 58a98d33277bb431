"""What a subcommand is, and how one ends: with a number, or with a sentence for the person who typed it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

#: Exit statuses, as documented: done; differences or failures that were asked for; wrong use or unreadable input.
DONE, DIFFERENT, WRONG = 0, 1, 2


class Wrong(Exception):
    """Wrong use or unreadable input: the process ends with status 2 and this sentence on standard error."""


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: `arguments` adds its options to a parser, `run` does it and returns the exit status.

    `run` imports what is heavy by itself, so that another subcommand does not pay for it.
    """

    name: str
    summary: str
    description: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]
    epilog: str = ""
