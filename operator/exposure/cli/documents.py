"""YAML and JSON text into documents that still know where they were written.

YAML is read as Kubernetes reads it, not as PyYAML does by default: a date stays text, `=` is a string (some published
CRDs have it in an enum), 22:22 is no number to the base of sixty.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import yaml

from exposure.cli.command import Wrong

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FOREIGN_TAGS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:int")
#: Aliases may make a few lines stand for billions of objects; no honest manifest comes near this many.
EXPANDED_NODES = 5_000_000
#: libyaml's binding composes by recursion in C, without a limit: some ten thousand levels end the process.
DEEPEST = 1000
_DEEP_BLOCKS = re.compile(rf"^ {{{DEEPEST}}}|(?:[-?] +){{{DEEPEST}}}", re.MULTILINE)
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


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
            # JSON is read by the json module, which keeps no marks; YAML's composer can tell them, should one be asked.
            try:
                node = yaml.compose(self.text, Loader)
            except yaml.YAMLError:
                return self.line
        return _line_in(node, path) if node is not None else self.line


def documents(text: str, source: str) -> Iterator[Document]:
    """The documents of a file; `Wrong` names the line that cannot be read."""
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        try:
            yield Document(json.loads(text), source, 1, text=text)
            return
        except (json.JSONDecodeError, RecursionError):
            pass  # flow-style YAML, or several documents; if it is neither, YAML's reader names the line
    try:
        yield from _yaml_documents(text, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise Wrong(f"{source}:{line}: {error.problem or error.context or 'is not YAML'}") from error
    except yaml.YAMLError as error:
        raise Wrong(f"{source}: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise Wrong(f"{source}: is nested too deeply") from error
    except (ValueError, TypeError) as error:
        raise Wrong(f"{source}: cannot be read: {error}") from error


def _yaml_documents(text: str, source: str) -> Iterator[Document]:
    if _is_deep(text):
        raise Wrong(f"{source}:1: is nested too deeply")
    loader = Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                if "*" in text and _expanded(node, {}) > EXPANDED_NODES:
                    raise Wrong(f"{source}:{node.start_mark.line + 1}: its aliases expand to too many objects")
                yield Document(loader.construct_document(node), source, node.start_mark.line + 1, node)
    finally:
        loader.dispose()


def _is_deep(text: str) -> bool:
    """Whether the text nests deeper than any manifest; what only looks so (brackets in text) is parsed to be sure."""
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
    found = known.get(id(node))
    if found is None:
        # An alias to a node that it lies in would never end.
        known[id(node)] = EXPANDED_NODES
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        found = known[id(node)] = 1 + sum(_expanded(child, known) for child in children)
    return found


def _line_in(node: yaml.Node, path: str) -> int:
    line = node.start_mark.line
    # A label or annotation key may hold dots: the longest key that fits what is left is taken.
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
            found = _longest_key(node, rest)
            if found is None:
                break
            key, node = found
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


def twice(node: yaml.Node | None) -> tuple[str, int] | None:
    """Path and second line of the first key that a mapping under `node` holds twice; None where there is none.

    PyYAML would let the last one win; kubectl refuses it.
    """
    waiting: list[tuple[str, yaml.Node]] = [("", node)] if node is not None else []
    seen: set[int] = set()
    while waiting:
        path, current = waiting.pop()
        if id(current) in seen:  # an alias
            continue
        seen.add(id(current))
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
