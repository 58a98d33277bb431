"""Every text of the package that a user can meet, read from its source: all strings of at least two words.

Docstrings are left out, and so is what no user reads: type annotations, patterns, code that is evaluated elsewhere. The
fields of an f-string stand in braces, as in a template of `str.format`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "operator" / "exposure"
TWO_WORDS = re.compile(r"[A-Za-z]{2,}[,:;]? [A-Za-z{]")
#: Functions whose strings are no text: patterns, names of types.
NOT_SHOWN = frozenset({"compile", "TypeVar", "cast", "fullmatch", "import_module"})


def texts() -> dict[str, list[str]]:
    """The texts by module, each once, in the order of the source."""
    by_module = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = str(path.relative_to(PACKAGE).with_suffix(""))
        module_texts = dict.fromkeys(_texts(ast.parse(path.read_text(encoding="utf-8"))))
        if module_texts:
            by_module[module] = list(module_texts)
    return by_module


def _texts(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return  # a docstring
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in NOT_SHOWN:
            return
        case ast.AnnAssign():
            yield from _texts(node.value) if node.value else ()
            return
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            for part in (*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
                yield from _texts(part)
            return
        case ast.Constant(value=str(text)):
            if TWO_WORDS.search(text):
                yield text
        case ast.JoinedStr():
            text = "".join(_part(value) for value in node.values)
            if TWO_WORDS.search(text):
                yield text
            for value in node.values:
                if isinstance(value, ast.FormattedValue):
                    yield from _texts(value.value)
            return
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def _part(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    assert isinstance(value, ast.FormattedValue)
    return f"{{{ast.unparse(value.value)}}}"
