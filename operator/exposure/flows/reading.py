"""Files to lines to flows: streaming, bounded, and patient with what is not as it should be."""

import contextlib
import gzip
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from exposure.flows.formats import FORMATS, Parser, detect
from exposure.flows.records import Flow

#: Bytes. No record of any format is as long; what is longer is not read whole into memory.
LONGEST_LINE = 1 << 20
#: Lines that --format auto looks at before it gives a file up.
LOOKED_AT = 1000
EXAMPLES = 5


class Unreadable(Exception):
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
        if len(self.examples) < EXAMPLES:
            self.examples.append((source, number, reason))


def sources(names: Iterable[str]) -> list[str]:
    """The files that the names mean: files as they are, folders as all files below them, sorted, and - for standard
    input."""
    found: list[str] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(name)
        elif path.is_dir():
            found += sorted(str(each) for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
        elif path.is_file() or path.is_fifo():
            found.append(name)
        else:
            raise Unreadable(f"{name}: no such file or folder")
    return found


def size_of(names: Iterable[str]) -> int | None:
    """Bytes to read, as they lie on disk; None where standard input or a pipe is among them."""
    names = list(names)
    if any(name == "-" or not Path(name).is_file() for name in names):
        return None
    return sum(Path(name).stat().st_size for name in names)


def flows(name: str, form: str, account: Account, progress: Callable[[int], None] | None = None) -> Iterator[Flow]:
    """The flows of one source; what is none is counted in `account`. `progress` is told bytes read, now and then."""
    try:
        with _opened(name) as (raw, lines):
            yield from _flows(name, raw, lines, form, account, progress)
    except OSError as error:
        raise Unreadable(f"{name}: {error.strerror or error}") from error


@contextlib.contextmanager
def _opened(name: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The bytes as they lie there, whose position is the progress, and the bytes of the text."""
    if name == "-":
        raw = sys.stdin.buffer
        yield raw, _unpacked(raw)
        return
    with open(name, "rb", buffering=1 << 18) as file:
        yield file, _unpacked(file)


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    peek = getattr(file, "peek", None)
    if peek is not None and peek(2)[:2] == b"\x1f\x8b":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    return file


def _flows(
    name: str, raw: IO[bytes], lines: IO[bytes], form: str, account: Account, progress: Callable[[int], None] | None
) -> Iterator[Flow]:
    parser: Parser | None = None
    if form != "auto":
        parser = FORMATS[form]()
        account.formats[form] += 1
    looked = number = 0
    told = 0
    for line in _lines(name, lines, account):
        number += 1
        account.lines += 1
        if progress is not None and not number & 4095 and raw.seekable():
            progress(raw.tell() - told)
            told = raw.tell()
        if line is None:
            account.bad_line(name, number, f"longer than {LONGEST_LINE} bytes")
            continue
        if line.isspace():
            account.empty += 1
            continue
        if parser is None:
            found = detect(line)
            if found is None:
                looked += 1
                account.bad_line(name, number, "in no known format")
                if looked >= LOOKED_AT:
                    account.broken.append((name, f"the first {LOOKED_AT} lines are in no known format; see --format"))
                    return
                continue
            parser = FORMATS[found]()
            account.formats[found] += 1
        try:
            parsed = parser(line)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            account.bad_line(name, number, _why(error))
            continue
        if isinstance(parsed, Flow):
            account.flows += 1
            yield parsed
        else:
            account.passed[parsed.reason] += 1
    if progress is not None and raw.seekable():
        progress(raw.tell() - told)


def _lines(name: str, file: IO[bytes], account: Account) -> Iterator[bytes | None]:
    """The lines; None for one that is too long, whatever its length."""
    read = file.readline
    try:
        while line := read(LONGEST_LINE):
            if len(line) < LONGEST_LINE or line.endswith(b"\n"):
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = read(LONGEST_LINE)
            yield None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        account.broken.append((name, f"the compressed file is damaged or cut off: {error}"))


def _why(error: Exception) -> str:
    """A short reason that repeats nothing of the line: that may be hostile, or secret."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if type(error).__name__ == "JSONDecodeError":
        return "not JSON"
    if isinstance(error, ValueError) and type(error).__name__ == "BadLine":
        return str(error)
    return "not of the form that its format promises"
