"""Manifests from files, folders and standard input into a `Snapshot`. No cluster and no credentials are needed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exposure import validation
from exposure.cli.command import UsageError
from exposure.cli.documents import TOO_DEEP, Document, documents, duplicate_key, read_text
from exposure.cli.gathering import Gathering, group_of, is_served, kind_of
from exposure.cli.terminal import warn
from exposure.fields import BadField, meta
from exposure.model.config import Config
from exposure.model.intent import InvalidSpec, Policy
from exposure.model.snapshot import Snapshot
from exposure.parse.config import config as parse_config
from exposure.parse.kinds import API_GROUP, API_VERSION, KINDS

SUFFIXES = (".yaml", ".yml", ".json")
#: So many refusals of one reading are printed; a file of another sort would otherwise fill the screen.
LISTED = 20
#: The operator alone writes Exposures, so they are no input; in a file they are nevertheless known.
WRITTEN_BY_THE_OPERATOR = "Exposure"
OUR_KINDS = (*(kind.kind for kind in KINDS if kind.group == API_GROUP), WRITTEN_BY_THE_OPERATOR)

NO_API_VERSION = "is missing. Use {version}"
NOT_SERVED = "{written} is not served. Use {version}"


def read_snapshot(names: Sequence[str], config: Config, namespace: str | None) -> Snapshot:
    """The objects of all files, later ones in place of earlier ones of the same name.

    `namespace` is that of objects which name none (None: `default`). UsageError names file, line and field of what is
    unreadable, and of what the API server would refuse in an object of API group exposure.dev.
    """
    gathering, problems = Gathering(), list[str]()
    for source, text in _texts(names):
        for document in documents(text, source):
            try:
                _read(document, document.content, "", gathering, namespace or "default", problems)
            except RecursionError as error:
                raise UsageError(f"{document.place()}: {TOO_DEEP}") from error
    if problems:
        more = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
        raise UsageError("\n".join([*problems[:LISTED], *more]))
    return gathering.snapshot(config)


def read_config(name: str, namespace: str) -> Config:
    """The component configuration in a file, of the operator in `namespace`."""
    in_file = list(documents(read_text(name), name))
    if len(in_file) > 1:
        raise UsageError(f"{in_file[1].place()}: a configuration file contains one document. Remove the others.")
    return config_of(in_file, namespace)


def config_of(in_file: Iterable[Document], namespace: str) -> Config:
    """The configuration in a document; the defaults where there is none. UsageError names file, line and field."""
    for document in in_file:
        try:
            return parse_config(document.content, namespace)
        except BadField as error:
            raise UsageError(f"{document.place(error.field)}: {error}") from error
    return Config(operator_namespace=namespace)


def _texts(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The name and the text of each file."""
    for name in names:
        path = Path(name)
        if name == "-":
            yield "standard input", read_text(name)
        elif not path.is_dir():
            yield name, read_text(name)
        else:
            paths = sorted(path for path in path.rglob("*") if path.suffix in SUFFIXES and path.is_file())
            if not paths:
                raise UsageError(
                    f"{name}: this folder has no {', '.join(SUFFIXES)} file. Name a file or a folder with manifests."
                )
            yield from ((str(path), read_text(str(path))) for path in paths)


def _read(document: Document, raw: Any, at: str, into: Gathering, namespace: str, problems: list[str]) -> None:
    """Gathers the object at path `at` of the document, or each item of a list; adds what is wrong to `problems`."""
    if raw is None:
        return
    if not isinstance(raw, dict):
        problem = "is not an object. A manifest begins with apiVersion and kind"
        problems.append(f"{document.place(at)}: {at or 'document'}: {problem}")
        return
    api_version, kind_name = raw.get("apiVersion"), raw.get("kind")
    if isinstance(kind_name, str) and kind_name.endswith("List") and isinstance(raw.get("items"), list):
        # `kubectl get -o json` writes a List; a client library writes a ServiceList, whose items name no kind.
        implied = {} if kind_name == "List" else {"apiVersion": api_version, "kind": kind_name.removesuffix("List")}
        for index, item in enumerate(raw["items"]):
            inner = {**implied, **item} if isinstance(item, dict) else item
            _read(document, inner, f"{at}.items[{index}]".removeprefix("."), into, namespace, problems)
        return
    for field, message in _keep(document, raw, at, into, namespace):
        path = f"{at}.{field}".strip(".")
        problems.append(f"{document.place(path)}: {kind_name or 'object'} {_shown_name(raw)}: {field}: {message}")


def _keep(
    document: Document, raw: dict[str, Any], at: str, into: Gathering, namespace: str
) -> Iterator[tuple[str, str]]:
    """Gathers one object, and yields what is wrong with it as field and message."""
    api_version, kind_name = str(raw.get("apiVersion") or ""), str(raw.get("kind") or "")
    kind = kind_of(api_version, kind_name)
    if kind is None:
        yield from _unknown_of_ours(api_version, kind_name)
        return
    if not api_version:
        yield "apiVersion", NO_API_VERSION.format(version=kind.versions[0])
        return
    if not is_served(kind, api_version):
        known = f"{kind.group}/{kind.versions[0]}".removeprefix("/")
        if kind.group == API_GROUP:
            yield "apiVersion", NOT_SERVED.format(written=api_version, version=known)
        else:
            warn(
                f"{document.place(at)}: {api_version} {kind.kind} is ignored: this version is not supported. "
                f"Use {known}."
            )
        return
    metadata = meta(raw)
    name = metadata.get("name") or metadata.get("generateName")
    if not isinstance(name, str) or not name:
        yield "metadata.name", "is missing. Give the object a name"
        return
    own_namespace = metadata.get("namespace") or namespace
    if not isinstance(own_namespace, str):
        yield "metadata.namespace", f"{own_namespace!r} is not a string. Put it in quotes"
        return
    raw = {**raw, "metadata": {**metadata, "name": name, "namespace": own_namespace}}
    if kind.group == API_GROUP:
        duplicate = duplicate_key(document.node) if not at else None
        if duplicate is not None:
            yield duplicate[0], f"is set twice, the second time in line {duplicate[1]}. Remove one"
            return
        refused = validation.problems(kind.kind, raw)
        if refused:
            yield from refused
            return
    value = kind.parse(raw)
    if isinstance(value, Policy) and isinstance(value.spec, InvalidSpec):
        yield value.spec.field, value.spec.message
        return
    if into.keep(kind, value):
        shown = f"{own_namespace}/{name}" if kind.namespaced else name
        warn(f"{document.place(at)}: {kind.kind} {shown} is defined again. This definition replaces the earlier one.")


def _unknown_of_ours(api_version: str, kind_name: str) -> Iterator[tuple[str, str]]:
    """Other kinds are passed over. A mistake in a kind of API group exposure.dev is not: it would go unnoticed."""
    if api_version == API_GROUP:
        yield "apiVersion", NOT_SERVED.format(written=api_version, version=API_VERSION)
    elif not api_version and kind_name in OUR_KINDS:
        yield "apiVersion", NO_API_VERSION.format(version=API_VERSION)
    elif group_of(api_version) == API_GROUP and kind_name not in OUR_KINDS:
        yield "kind", f"{kind_name!r} is not a kind of {API_GROUP}. Its kinds: {', '.join(OUR_KINDS)}"


def _shown_name(raw: Mapping[str, Any]) -> str:
    return str(meta(raw).get("name") or meta(raw).get("generateName") or "without a name")
