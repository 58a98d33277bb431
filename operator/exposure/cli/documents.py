"""YAML and JSON text into documents that know the line of each field.

YAML is read as Kubernetes reads it, not as PyYAML does by default: a date stays text, `=` is a string (some published
CRDs have it in an enum), 22:22 is no number to the base of sixty.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
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
_DEEP_BLOCKS = re.compile(rf"^ {{{DEEPEST}}}|(?:[-?] +){{{DEEPEST}}}", re.MULTILINE)
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")

NOT_UTF8 = "{name}: is not UTF-8 text (byte {position}). Convert it to UTF-8."
NOT_YAML = "is not YAML: {problem}"
UNKNOWN_PROBLEM = "it cannot be read from here on. Compare it with a manifest that kubectl accepts."
#: What libyaml finds, by a part of its message, and what to do.
PROBLEMS: Mapping[str, str] = {
    "mapping values are not allowed": "a colon follows where no key can stand. Quote the value, or align the key.",
    "tab character": "the indentation has a tab. Indent with spaces.",
    "cannot start any token": "a value begins with a tab, %, @ or `. Quote the value, and indent with spaces.",
    "could not find expected ':'": "a key has no colon. Write KEY: VALUE.",
    "expected key": "a line does not fit those above. Align its indentation, or quote the value.",
    "expected '-' indicator": "a line does not fit the list above. Align its indentation.",
    "expected ',' or": "a bracket is not closed, or a comma is missing. Complete it.",
    "expected node content": "a bracket is not closed, or a value is missing. Complete it.",
    "unexpected end of stream": "a quotation mark is not closed. Close it.",
    "undefined alias": "an alias (*) has no anchor (&). Quote the value if it is no alias.",
    "second occurrence": "an anchor (&) is written twice. Give each its own name.",
    "could not determine a constructor": "a tag (!) is none of YAML's own. Remove it, or quote the value.",
    "unhashable key": "a key is itself a mapping or a list. Render templates first, as with helm template.",
    "unknown escape character": "a double-quoted value has an unknown escape. Write \\\\ for a backslash.",
}
CONTROL_CHARACTER = "has the control character U+{number:04X}, which YAML forbids. Remove it."
UNREADABLE_VALUE = (
    "has a value that does not fit its YAML tag, or a number with thousands of digits. Correct the value."
)
TOO_DEEP = "is nested too deeply. No kind of Kubernetes needs {deepest} levels."
TOO_MANY_OBJECTS = "has aliases that expand to too many objects. Write the objects out."


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
            try:
                node = yaml.compose(self.text, Loader)
            except yaml.YAMLError:
                return self.line
        return _line_in(node, path) if node is not None else self.line


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
            yield Document(json.loads(text), source, 1, text=text)
            return
        except (ValueError, RecursionError):
            pass  # Flow-style YAML, or several documents. If it is neither, YAML's reader names the line.
    try:
        yield from _yaml_documents(text, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        reason = str(error.problem or error.context)
        problem = next((problem for part, problem in PROBLEMS.items() if part in reason), UNKNOWN_PROBLEM)
        raise UsageError(f"{source}:{line}: {NOT_YAML.format(problem=problem)}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UsageError(f"{source}:{line}: {CONTROL_CHARACTER.format(number=error.character)}") from error
    except RecursionError as error:
        raise UsageError(f"{source}: {TOO_DEEP.format(deepest=DEEPEST)}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # PyYAML lets out whatever its constructors meet: int("x"), a missing key, no match.
        raise UsageError(f"{source}: {UNREADABLE_VALUE}") from error


def _yaml_documents(text: str, source: str) -> Iterator[Document]:
    if _is_deep(text):
        raise UsageError(f"{source}:1: {TOO_DEEP.format(deepest=DEEPEST)}")
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
    if _DEEP_BLOCKS.search(text) is None:
        if text.count("[") + text.count("{") < DEEPEST:
            return False
        steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", text))
        if max(accumulate(steps), default=0) < DEEPEST:
            return False
    depth = 0
    for event in yaml.parse(text, Loader):  # without recursion
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes are under this one when every alias is written out; `known` keeps what was counted."""
    if id(node) not in known:
        # An alias to a node that contains it never ends.
        known[id(node)] = EXPANDED_NODES
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_expanded(child, known) for child in children)
    return known[id(node)]


def _line_in(node: yaml.Node, path: str) -> int:
    line = node.start_mark.line
    # The key of a label or an annotation may contain dots: the longest key that fits is the one.
    rest = path
    while rest:
        if rest.startswith("["):
            step = _STEP.match(rest)
            if step is None or not isinstance(node, yaml.SequenceNode) or int(step[2]) >= len(node.value):
                break
            node, rest = node.value[int(step[2])], rest[step.end() :]
            line = node.start_mark.line
        else:
            rest = rest.removeprefix(".")
            entry = _longest_key(node, rest)
            if entry is None:
                break
            key, node = entry
            rest, line = rest[len(key.value) :], key.start_mark.line
    return line + 1


def _longest_key(node: yaml.Node, path: str) -> tuple[yaml.ScalarNode, yaml.Node] | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    fitting = [
        (key, value)
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode)
        and path.startswith(key.value)
        and path[len(key.value) : len(key.value) + 1] in ("", ".", "[")
    ]
    return max(fitting, key=lambda pair: len(pair[0].value), default=None)


def duplicate_key(node: yaml.Node | None) -> tuple[str, int] | None:
    """Path and second line of the first key that a mapping under `node` has twice; None where there is none.

    PyYAML keeps the last one; kubectl refuses the document.
    """
    waiting: list[tuple[str, yaml.Node]] = [("", node)] if node is not None else []
    visited: set[int] = set()
    while waiting:
        path, current = waiting.pop()
        if id(current) in visited:  # an alias
            continue
        visited.add(id(current))
        if isinstance(current, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in current.value:
                if isinstance(key, yaml.ScalarNode):
                    where = f"{path}.{key.value}".removeprefix(".")
                    if key.value in keys:
                        return where, key.start_mark.line + 1
                    keys.add(key.value)
                    waiting.append((where, value))
        elif isinstance(current, yaml.SequenceNode):
            waiting.extend((f"{path}[{index}]", value) for index, value in enumerate(current.value))
    return None
