"""Writes the table of texts again: `python -m tests.messages`. Read the difference before you commit it."""

from pathlib import Path

from tests.messages.texts import texts

TABLE = Path(__file__).with_name("test_messages.py")
BEGIN, END = "# fmt: off\n", "# fmt: on\n"


def table() -> str:
    """The table as Python: a tuple of texts for each module."""
    lines = ["TEXTS: dict[str, tuple[str, ...]] = {"]
    for module, of_module in texts().items():
        lines += [f'    "{module}": (', *(f"        {text!r}," for text in of_module), "    ),"]
    return "\n".join([*lines, "}", ""])


def main() -> None:
    head, _, rest = TABLE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    TABLE.write_text(head + BEGIN + table() + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
