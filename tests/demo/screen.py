"""What people see: colours on a terminal, plain lines in a pipe, and time to read."""

import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from tests.demo.calls import Admitted, Answer, Stream

WIDTH = 100
#: Pauses in seconds: for each word of a sentence, each line of output, each row of a table; and the longest of all.
WORD, LINE, ROW, LONGEST = 0.1, 0.12, 0.8, 6.0
_COLOURS = {Admitted.ALL: "bold green", Admitted.SOME: "bold yellow", Admitted.NONE: "bold red"}


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
        """A paragraph of the narrator."""
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

    def answers(self, title: str, answers: Sequence[Answer]) -> None:
        """A row for each call: how many connections were admitted, by which pods, and which source these saw."""
        header = ("CLIENT", "FROM", "SERVICE", "ADDRESS", "ADMITTED", "ANSWERED BY", "SOURCE SEEN")
        rows = [
            (
                answer.call.caller,
                answer.source,
                answer.call.service,
                answer.address,
                f"{answer.passed} of {answer.connections}",
                ", ".join(answer.answered_by),
                ", ".join(answer.saw),
            )
            for answer in answers
        ]
        self._table(title, header, rows, 4, [_COLOURS[answer.admitted] for answer in answers])

    def total(self, title: str, answers: Sequence[Answer]) -> None:
        """The sum over all calls, in one line."""
        if answers:
            passed = sum(answer.passed for answer in answers)
            connections = sum(answer.connections for answer in answers)
            self._print("")
            self._print(f"# {title}: {passed} of {connections} connections admitted", "bold magenta")
            self._pause(ROW)

    def streams(self, title: str, streams: Sequence[Stream]) -> None:
        """A row for each stream of connections; nothing where there are none."""
        header = ("CLIENT", "SERVICE", "CONNECTIONS", "ADMITTED", "RESULT")
        rows = [
            (stream.call.caller, stream.call.service, str(stream.connections), str(stream.passed), stream.verdict)
            for stream in streams
        ]
        colours = ["bold green" if stream.passed == stream.connections else "bold red" for stream in streams]
        self._table(title, header, rows, 4, colours)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Something moves on a terminal while this takes its time."""
        if self._colourful:
            with self._console.status(what):
                yield
        else:
            yield

    def note(self, text: str) -> None:
        self._print(f"  ({text})", "dim")

    def _table(
        self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], marked: int, colours: Sequence[str]
    ) -> None:
        """Columns as kubectl prints them; `marked` is the one that is coloured."""
        if not rows:
            return
        widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
        self._print("")
        self._print(f"# {title}", "bold magenta")
        for row, colour in zip((header, *rows), ("bold", *colours), strict=True):
            line = Text()
            for column, cell in enumerate(row):
                style = colour if column == marked or row is header else ""
                line.append(cell.ljust(widths[column] + 3), style)
            line.rstrip()
            self._console.print(line)
        self._pause(len(rows) * ROW)

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style))

    def _pause(self, seconds: float) -> None:
        if not self._fast:
            time.sleep(min(seconds, LONGEST))
