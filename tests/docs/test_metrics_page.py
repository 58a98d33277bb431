"""The fields of log lines and their documentation."""

import ast
from pathlib import Path

import exposure.controller
from tests.docs.metrics_page import FIELDS

#: Fields of every line, by the formatter.
ALWAYS = {"time", "level", "logger", "message", "exception"}
FOLDER = Path(exposure.controller.__file__).parent


def logged() -> set[str]:
    """The keywords of every call of `logs.fields`, those in `**{...}` too."""
    names: set[str] = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "fields":
                names |= {keyword.arg for keyword in node.keywords if keyword.arg}
                names |= {
                    str(key.value)
                    for keyword in node.keywords
                    for dictionary in ast.walk(keyword.value)
                    if isinstance(dictionary, ast.Dict)
                    for key in dictionary.keys
                    if isinstance(key, ast.Constant)
                }
    return names


def test_the_documented_fields_are_those_that_are_logged() -> None:
    """Each of them, and no other."""
    assert set(FIELDS) == ALWAYS | logged()
