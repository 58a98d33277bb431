"""Output: safe text, plain aligned columns for pipes, coloured ones for a terminal.

Names, annotations and file names are other people's input. A character that could control a terminal (escape sequences,
C1 controls) or reverse a line (bidirectional overrides) is shown as its code point instead.
"""

import json
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Any

#: Cc: controls, Cf: format characters such as bidirectional overrides and zero width ones, Zl and Zp: line and
#: paragraph separators, Cs: lone surrogates, which cannot be encoded, Co: private use.
UNSAFE = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})


def safe(text: str, keep: str = "") -> str:
    """The text with every unsafe character written as \\xNN, \\uNNNN or \\UNNNNNNNN, save those in `keep`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in keep else _shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in UNSAFE:
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def say(text: str = "") -> None:
    """Lines on standard output. Line breaks and tabs are kept."""
    sys.stdout.write(safe(text, keep="\n\t") + "\n")


def say_json(document: Any) -> None:
    """ASCII only: every character that could control a terminal is escaped."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def warn(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"kubectl exposure: {safe(text)}\n")


def wrapped(text: str, indent: str = "", hanging: str | None = None, width: int = 80) -> str:
    """The text in lines of at most `width` columns. A longer word, such as a URL, stays whole."""
    return textwrap.fill(
        safe(text),
        width=width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The rows under their header: with rich on a terminal, otherwise aligned with blanks and never truncated."""
    cleaned = [[safe(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(header, cleaned)
    else:
        sys.stdout.write(aligned(header, cleaned))


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in (header, *rows)
    )


def _rich_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title in header:
        shown.add_column(title, overflow="fold", style="yellow" if title == "BLIND SPOTS" else "")
    for row in rows:
        # Text, not str: rich reads square brackets in a str as markup.
        shown.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(shown)
