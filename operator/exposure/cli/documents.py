"""YAML and JSON text into documents that know the line of each field.

YAML is read as Kubernetes reads it, not as PyYAML does by default: a date stays text, `=` is a string (some published
CRDs have it in an enum), 22:22 is no number to the base of sixty.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from exposure.cli.command import UsageError

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FOREIGN_TAGS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:int")
#: A few lines of aliases can stand for billions of objects. Manifests that people write stay far below this number.
EXPANDED_NODES = 5_000_000
#: libyaml's binding composes by recursion in C, without a limit: some ten thousand levels end the process.
DEEPEST = 1000
_STEPS = {yaml.SequenceStartEvent: 1, yaml.MappingStartEvent: 1, yaml.SequenceEndEvent: -1, yaml.MappingEndEvent: -1}
_DEEP_BLOCKS = re.compile(rf"^ {{{DEEPEST}}}|(?:[-?] +){{{DEEPEST}}}", re.MULTILINE)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

NOT_UTF8 = "{name} is not UTF-8 text (byte {position}). Convert it to UTF-8."
NOT_YAML = "is not YAML: {problem}. {cure}"
CORRECT = "Correct this line or a line above it."
RENDER = "Render templates first, for example with helm template."
CONTROL_CHARACTER = "contains the control character U+{number:04X}, which YAML forbids. Remove it."
UNREADABLE_VALUE = (
    "contains a value that does not fit its YAML tag, or a number with thousands of digits. Correct the value."
)
TOO_DEEP = f"is nested too deeply. The limit is {DEEPEST} levels."
TOO_MANY_OBJECTS = "contains aliases that expand to too many objects. Write the objects without aliases."


class Loader(_Base):  # type: ignore[misc]
    """Safe, in C where libyaml is there, with the scalars of the Kubernetes API."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own protocol
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _FOREIGN_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML or JSON document: its content, the file it is from, and what finds the line of a field."""

    content: Any
    source: str
    line: int
    node: yaml.Node | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)

    def place(self, path: str = "") -> str:
        """`file:line` of the field at `path` (as `items[2].spec.clients.cidrs[0]`), or of the nearest one above it."""
        return f"{self.source}:{self._line_of(path)}"

    def _line_of(self, path: str) -> int:
        node = self.node
        if node is None:
            # The json module keeps no lines. YAML's composer reads JSON as well, and is asked only when needed.
            with suppress(yaml.YAMLError):
                node = yaml.compose(self.text, Loader)
        line = self.line if node is None else node.start_mark.line + 1
        rest = f".{path}" if path and not path.startswith("[") else path
        while node is not None:
            fitting = [
                (step, child, line)
                for step, child, line in _children(node)
                if rest.startswith(step) and rest[len(step) :][:1] in ("", ".", "[")
            ]
            if not fitting:
                break
            # The key of a label or an annotation may contain dots: the longest key that fits is the one.
            step, node, line = max(fitting, key=lambda child: len(child[0]))
            rest = rest.removeprefix(step)
        return line


def read_text(name: str) -> str:
    """The text of a file; `-`: of standard input."""
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(NOT_UTF8.format(name=name, position=error.start)) from error


def documents(text: str, source: str) -> Iterator[Document]:
    """The documents of a file. UsageError names the line that cannot be read."""
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        try:
            content = json.loads(text)
            if _SURROGATE.search(text):
                # Half of a character is no text, and no output could show it.
                json.dumps(content, ensure_ascii=False).encode()
            yield Document(content, source, 1, text=text)
            return
        except (ValueError, RecursionError):
            pass  # Flow-style YAML, or several documents. If it is neither, YAML's reader names the line.
    try:
        yield from _yaml_documents(text, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        # libyaml's words are kubectl's too: its reader is a port of libyaml.
        problem = ", ".join(filter(None, (error.context, error.problem)))
        cure = RENDER if "{{" in text else CORRECT
        raise UsageError(f"{source}:{line}: {NOT_YAML.format(problem=problem, cure=cure)}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UsageError(f"{source}:{line}: {CONTROL_CHARACTER.format(number=error.character)}") from error
    except RecursionError as error:
        raise UsageError(f"{source}: {TOO_DEEP}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # PyYAML lets out whatever its constructors meet: int("x"), a missing key, no match.
        raise UsageError(f"{source}: {UNREADABLE_VALUE}") from error


def _yaml_documents(text: str, source: str) -> Iterator[Document]:
    if _is_deep(text):
        raise UsageError(f"{source}:1: {TOO_DEEP}")
    loader = Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                line = node.start_mark.line + 1
                if "*" in text and _expanded(node, {}) > EXPANDED_NODES:
                    raise UsageError(f"{source}:{line}: {TOO_MANY_OBJECTS}")
                yield Document(loader.construct_document(node), source, line, node)
    finally:
        loader.dispose()


def _is_deep(text: str) -> bool:
    """Whether the text nests deeper than any manifest. Where brackets may be part of values, it is parsed."""
    brackets = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", text))
    if _DEEP_BLOCKS.search(text) is None and max(accumulate(brackets), default=0) < DEEPEST:
        return False
    events = yaml.parse(text, Loader)  # without recursion
    return any(depth > DEEPEST for depth in accumulate(_STEPS.get(type(event), 0) for event in events))


def _children(node: yaml.Node) -> Iterator[tuple[str, yaml.Node, int]]:
    """What lies directly under a node: `.key` or `[index]`, the value, and the line."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield f".{key.value}", value, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield f"[{index}]", value, value.start_mark.line + 1


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes are under this one when every alias is written out; `known` keeps what was counted."""
    if id(node) not in known:
        # An alias to a node that contains it never ends.
        known[id(node)] = EXPANDED_NODES
        known[id(node)] = 1 + sum(_expanded(child, known) for _, child, _ in _children(node))
    return known[id(node)]


def duplicate_key(node: yaml.Node | None) -> tuple[str, int] | None:
    """Path and second line of the first key that a mapping under `node` has twice; None where there is none.

    PyYAML keeps the last one; kubectl refuses the document.
    """
    waiting = [("", node)] if node is not None else []
    visited: set[int] = set()
    while waiting:
        path, current = waiting.pop()
        if id(current) in visited:  # an alias
            continue
        visited.add(id(current))
        steps: set[str] = set()
        for step, child, line in _children(current):
            if step in steps:
                return f"{path}{step}".removeprefix("."), line
            steps.add(step)
            waiting.append((path + step, child))
    return None
