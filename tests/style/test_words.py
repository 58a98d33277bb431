"""The words of docs/glossary.md, held in code, messages, tests and docs."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "exposure"
TESTS = ROOT / "tests"
#: Whole words, in any case. docs/glossary.md has the words to use in their place.
BANNED = re.compile(
    r"\b(doors?|rooms?|walls?|bells?|rings?|rung|voices?|scenes?|survey(s|ed)?|fronts?(?! ends?\b)|bearings?|grounds?"
    r"|told|taken|carv(e|es|ed|ing)|strays?|nobody|somebody)\b",
    re.IGNORECASE,
)
#: Local names that say nothing about what they hold.
EMPTY_NAMES = frozenset({"each", "found", "got", "said", "told", "seen", "one"})
READ = (
    "operator/",
    "tests/",
    "docs/",
    "crds/",
    "manifests/",
    "examples/",
    ".ci/",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "Makefile",
    "Dockerfile",
    "pyproject.toml",
)
#: The glossary and this list name what not to say. (So does the change log, which is not in READ.)
NOT_READ = frozenset({"docs/glossary.md", str(Path(__file__).resolve().relative_to(ROOT))})


def tracked() -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if name.startswith(READ) and name not in NOT_READ and path.is_file() and not path.is_symlink():
            yield path


def modules(*folders: Path) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def bound_names(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that the module binds, with its line: variables, parameters, and what `match` captures."""
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def test_no_private_language() -> None:
    """A word that only the authors understand hides what the code does."""
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {word[0]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in BANNED.finditer(line.replace("_", " "))
    ]
    assert [] == lines


def test_no_two_classes_of_one_name() -> None:
    """A reader who finds a class by its name finds the right one."""
    names = Counter(
        node.name for _, module in modules(PACKAGE) for node in ast.walk(module) if isinstance(node, ast.ClassDef)
    )
    assert [] == sorted(name for name, count in names.items() if count > 1)


def test_local_names_say_what_they_hold() -> None:
    """`policy`, `service`, `rule`, `block`: a name that fits everything says nothing."""
    lines = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, module in modules(PACKAGE, TESTS)
        for line, name in bound_names(module)
        if name in EMPTY_NAMES
    ]
    assert [] == lines
