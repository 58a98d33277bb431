"""What people see: safe text, plain aligned columns for pipes, coloured ones for a terminal.

Names, annotations and file names are other people's input. Whatever could drive a terminal (escape sequences, C1
controls) or turn a line around (bidirectional overrides) is shown as its code point instead.
"""

import sys
import textwrap
import unicodedata
from collections.abc import Sequence

#: Cc: controls, Cf: format characters such as bidirectional overrides and zero width ones, Zl and Zp: line breaks in
#: disguise, Cs: lone surrogates, which could not even be encoded, Co: private use.
UNSAFE = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})


def safe(text: str, keep: str = "") -> str:
    """The text with every character that could do more than show itself written as \\xNN, \\uNNNN or \\UNNNNNNNN."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each in keep or unicodedata.category(each) not in UNSAFE else _code(each) for each in text)


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def say(text: str = "") -> None:
    """One or more lines on standard output; only line breaks and tabs pass as they are."""
    sys.stdout.write(safe(text, keep="\n\t") + "\n")


def warn(text: str) -> None:
    sys.stderr.write(f"kubectl exposure: {safe(text)}\n")


def wrapped(text: str, indent: str = "", hanging: str | None = None, width: int = 80) -> str:
    """The text in lines of at most `width` columns; a word that is longer, such as an address or a URL, stays whole."""
    return textwrap.fill(
        safe(text),
        width=width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The rows under their header: with rich on a terminal, otherwise aligned with blanks and never cut off."""
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
        # Text, not str: a name in square brackets is no markup.
        shown.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(shown)
