"""Files to lines to flows: as a stream, in bounded memory, and without failing on bad lines."""

import gzip
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import IO, TypeAlias, TypeVar

from exposure.flows.formats import FORMATS, Parser, detect
from exposure.flows.records import BadLine, Flow, Parsed

T = TypeVar("T")

#: Bytes. No record of any format is as long; what is longer is not read whole into memory.
LONGEST_LINE = 1 << 20
#: Lines after which --format auto gives a file up.
LINES_TO_DETECT = 1000
#: Reasons that repeat nothing of the line, which may be hostile or secret.
REASONS: dict[type[Exception], str] = {UnicodeDecodeError: "not UTF-8", JSONDecodeError: "not JSON"}
#: Called with the number of bytes read since the last call.
Progress: TypeAlias = Callable[[int], None]


class UnreadableSource(Exception):
    """A source that cannot be read at all: the name, and why."""


@dataclass(slots=True)
class Account:
    """What became of the lines. Every line is one of: flow, passed over with a reason, bad, empty."""

    lines: int = 0
    flows: int = 0
    empty: int = 0
    bad: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    #: The first few bad lines: source, line number, reason.
    examples: list[tuple[str, int, str]] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    #: Sources that could only be read in part, with the reason: a cut gzip file.
    broken: list[tuple[str, str]] = field(default_factory=list)

    def bad_line(self, source: str, number: int, reason: str) -> None:
        self.bad += 1
        if len(self.examples) < 5:
            self.examples.append((source, number, reason))

    def flow(self, source: str, number: int, parse: Callable[[T], Parsed], line: T) -> Flow | None:
        """The flow that a line is. A line that is none is counted with the reason."""
        try:
            parsed = parse(line)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as error:
            other = REASONS.get(type(error), "does not match its format")
            self.bad_line(source, number, str(error) if isinstance(error, BadLine) else other)
            return None
        if isinstance(parsed, Flow):
            self.flows += 1
            return parsed
        self.passed[parsed.value] += 1
        return None


def sources(names: Iterable[str]) -> list[str]:
    """The files that are meant: a folder is all files below it, - is standard input. Raises UnreadableSource."""
    files: list[str] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            files += sorted(str(file) for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        elif name == "-" or path.is_file() or path.is_fifo():
            files.append(name)
        else:
            raise UnreadableSource(f"{name}: no such file or folder")
    return files


def size_of(names: Sequence[str]) -> int | None:
    """Bytes to read, as they lie on disk; None where standard input or a pipe is among them."""
    if any(name == "-" or not Path(name).is_file() for name in names):
        return None
    return sum(Path(name).stat().st_size for name in names)


def flows(name: str, form: str, account: Account, progress: Progress | None = None) -> Iterator[Flow]:
    """The flows of one source; every line is counted in `account`. Raises UnreadableSource."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb", buffering=1 << 18) as raw:
            yield from _flows(name, raw, form, account, progress)
    except OSError as error:
        raise UnreadableSource(f"{name}: {error.strerror or error}") from error


def _flows(name: str, raw: IO[bytes], form: str, account: Account, progress: Progress | None) -> Iterator[Flow]:
    """`raw` are the bytes as they lie there, whose position is the progress."""
    parser: Parser | None = None
    if form != "auto":
        parser = FORMATS[form]()
        account.formats[form] += 1
    reported = undetected = 0
    for number, line in enumerate(_lines(name, raw, account), 1):
        account.lines += 1
        if progress is not None and not number & 4095 and raw.seekable():
            progress(raw.tell() - reported)
            reported = raw.tell()
        if line is None:
            account.bad_line(name, number, f"longer than {LONGEST_LINE} bytes")
            continue
        if line.isspace():
            account.empty += 1
            continue
        if parser is None:
            detected = detect(line)
            if detected is None:
                undetected += 1
                account.bad_line(name, number, "in no known format")
                if undetected >= LINES_TO_DETECT:
                    reason = f"the first {LINES_TO_DETECT} lines are in no known format. Set --format"
                    account.broken.append((name, reason))
                    return
                continue
            parser = FORMATS[detected]()
            account.formats[detected] += 1
        flow = account.flow(name, number, parser, line)
        if flow is not None:
            yield flow
    if progress is not None and raw.seekable():
        progress(raw.tell() - reported)


def _lines(name: str, raw: IO[bytes], account: Account) -> Iterator[bytes | None]:
    """The lines, also of a gzip file; None for one that is too long, whatever its length."""
    peek = getattr(raw, "peek", None)
    packed = peek is not None and peek(2)[:2] == b"\x1f\x8b"
    read = gzip.GzipFile(fileobj=raw).readline if packed else raw.readline
    try:
        while line := read(LONGEST_LINE):
            if len(line) < LONGEST_LINE or line.endswith(b"\n"):
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = read(LONGEST_LINE)
            yield None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        account.broken.append((name, f"the compressed file is damaged or incomplete: {error}"))
