"""What people see: colours on a terminal, plain lines in a pipe, and time to read."""

import sys
import textwrap
import time

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

WIDTH = 100
#: Seconds for a word of a sentence, and for a line of output; nobody reads longer than the last of these.
WORD, LINE, LONGEST = 0.1, 0.12, 5.0


class Screen:
    """`chapter`, `say` and `typed`; `fast` leaves the pauses out."""

    def __init__(self, *, fast: bool) -> None:
        self._fast = fast
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        self._colourful = sys.stdout.isatty()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def chapter(self, title: str) -> None:
        self._print("")
        if self._colourful:
            self._console.print(Rule(Text(title, style="bold cyan"), align="left", style="cyan"))
        else:
            self._print(f"== {title} ==")

    def say(self, text: str) -> None:
        """A paragraph of ours."""
        self._print("")
        for line in textwrap.wrap(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False):
            self._print(line, "bold")
        self._pause(len(text.split()) * WORD)

    def typed(self, command: str, output: str) -> None:
        """A command as a person would type it, and its answer."""
        self._print("")
        self._print(f"$ {command}", "bold green")
        self._pause(0.4)
        lines = output.rstrip("\n").splitlines()
        for line in lines:
            self._print(line)
        self._pause(len(lines) * LINE + 0.4)

    def note(self, text: str) -> None:
        self._print(f"  ({text})", "dim")

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style))

    def _pause(self, seconds: float) -> None:
        if not self._fast:
            time.sleep(min(seconds, LONGEST))
