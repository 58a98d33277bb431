"""The page of rules, made from the list itself: names, order and comments from its source, texts from docstrings."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from exposure.catalog.blind_spots import REASONS
from exposure.resolve import rules
from exposure.resolve.rules import RULES, admitting, excluding, refusing, reporting

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(inspect.getfile(rules))
MODULES: tuple[ModuleType, ...] = (refusing, admitting, reporting, excluding)


@dataclass(frozen=True, slots=True)
class ListedRule:
    """A rule of the list: `stage` is the comment above its part of the list, `comment` the one behind its name."""

    name: str
    stage: str
    comment: str
    description: str
    reasons: tuple[str, ...]
    path: str


def listed_rules() -> Iterator[ListedRule]:
    """The rules in their order, as the list shows them."""
    source = LIST.read_text(encoding="utf-8")
    stage = ""
    comments: dict[str, tuple[str, str]] = {}
    for line in source[source.index("RULES:") :].splitlines():
        if heading := re.fullmatch(r" {4}# (.+)", line):
            stage = heading[1]
        elif entry := re.fullmatch(r" {4}\w+\.(\w+),  # (.+)", line):
            comments[entry[1]] = stage, entry[2]
    for rule in RULES:
        stage, comment = comments[rule.__name__]
        module = next(module for module in MODULES if rule.__name__ in _functions(module))
        yield ListedRule(
            name=rule.__name__,
            stage=stage,
            comment=comment,
            description=inspect.getdoc(rule) or "",
            reasons=tuple(reason for reason in REASONS if reason in _reported(module, rule.__name__)),
            path=str(Path(inspect.getfile(module)).resolve().relative_to(ROOT)),
        )


def _functions(module: ModuleType) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _reported(module: ModuleType, name: str) -> set[str]:
    """The reasons of the blind spots that a function makes, itself or by functions of its module that it calls."""
    functions = _functions(module)
    waiting, visited, reasons = [name], set[str](), set[str]()
    while waiting:
        current = waiting.pop()
        visited.add(current)
        for node in ast.walk(functions[current]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called = node.func.id
                if called == "blind_spot" and node.args and isinstance(node.args[0], ast.Constant):
                    reasons.add(str(node.args[0].value))
                elif called in functions and called not in visited:
                    waiting.append(called)
    return reasons


def rules_page() -> str:
    """docs/reference/rules.md"""
    listed = list(listed_rules())
    lines = [
        "# The rules, in their order",
        "",
        "<!-- Made by `python -m tests.docs` from operator/exposure/resolve/rules; edit that instead. -->",
        "",
        *_wrapped(inspect.getdoc(rules) or ""),
        "",
        f"The list is one tuple: [`{LIST.relative_to(ROOT)}`](../../{LIST.relative_to(ROOT)}). Beside it stand the",
        "[truth table](truth-table.md) that the admitting rules apply, the [blind spots](blind-spots.md) that rules",
        "report, and the [specification](specification.md) that the tests cite.",
    ]
    stage = ""
    for number, rule in enumerate(listed, 1):
        if rule.stage != stage:
            stage = rule.stage
            lines += ["", f"## {stage.rstrip('.')}"]
        reasons = ", ".join(f"[`{reason}`](blind-spots.md#{reason.lower()})" for reason in rule.reasons)
        lines += ["", f"### {number}. {rule.name}", "", *_wrapped(rule.description), ""]
        lines += [f"- in short: {rule.comment}"]
        lines += [f"- reports: {reasons}"] if reasons else []
        lines += [f"- code: [`{rule.path}`](../../{rule.path})"]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> Iterator[str]:
    for index, paragraph in enumerate(text.split("\n\n")):
        if index:
            yield ""
        yield from textwrap.wrap(" ".join(paragraph.split()), 120, break_long_words=False, break_on_hyphens=False)
