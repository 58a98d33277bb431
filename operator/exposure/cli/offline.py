"""Manifests from files, folders and standard input into a `World`. No cluster and no credentials are needed."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exposure.cli.admission import refusals, without_nulls
from exposure.cli.command import Wrong
from exposure.cli.documents import Document, documents, twice
from exposure.cli.gathering import Gathering, is_served, kind_of
from exposure.cli.terminal import warn
from exposure.fields import BadField
from exposure.model.config import Config
from exposure.model.intent import ClusterExposurePolicy, ExposurePolicy, Unreadable
from exposure.model.snapshot import Snapshot
from exposure.parse.config import config as parse_config
from exposure.parse.kinds import API_GROUP, Kind

SUFFIXES = (".yaml", ".yml", ".json")
#: So many refusals of one reading are printed; a file of the wrong sort would otherwise fill the screen.
SHOWN = 20


def read_snapshot(names: Sequence[str], config: Config, namespace: str | None) -> Snapshot:
    """The objects of all files, later ones in place of earlier ones of the same name.

    `namespace` is that of objects which name none (None: `default`). `Wrong` names file, line and field of what is
    unreadable, and of what the API server would refuse in a resource of ours.
    """
    gathering, wrong = Gathering(), list[str]()
    for source, text in _texts(names):
        for document in documents(text, source):
            try:
                _read(document, document.content, "", gathering, namespace or "default", wrong)
            except RecursionError as error:
                raise Wrong(f"{document.place()}: is nested too deeply") from error
    if wrong:
        more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        raise Wrong("\n".join([*wrong[:SHOWN], *more]))
    return gathering.snapshot(config)


def read_config(name: str) -> Config:
    """The component configuration in a file; `Wrong` names file, line and field."""
    found = list(documents(_text(name), name))
    match found:
        case []:
            return Config()
        case [document]:
            try:
                return parse_config(document.content)
            except BadField as error:
                raise Wrong(f"{document.place(error.field)}: {error.field}: {error.message}") from error
        case _:
            raise Wrong(f"{found[1].place()}: a configuration file holds one document")


def _texts(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        path = Path(name)
        if name == "-" or not path.is_dir():
            yield ("standard input" if name == "-" else name), _text(name)
            continue
        found = sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
        if not found:
            raise Wrong(f"{name}: no {', '.join(SUFFIXES)} file in this folder")
        for each in found:
            yield str(each), _text(str(each))


def _text(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise Wrong(f"{name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise Wrong(f"{name}: is not UTF-8 text (byte {error.start})") from error


def _read(document: Document, raw: Any, at: str, into: Gathering, namespace: str, wrong: list[str]) -> None:
    if raw is None:
        return
    if not isinstance(raw, dict):
        wrong.append(f"{document.place(at)}: {at or 'document'}: is not an object")
        return
    api_version, name_of_kind = raw.get("apiVersion"), raw.get("kind")
    if isinstance(name_of_kind, str) and name_of_kind.endswith("List") and isinstance(raw.get("items"), list):
        for index, item in enumerate(raw["items"]):
            # `kubectl get -o json` gives a List; a client library gives a ServiceList, whose items name no kind.
            told = (
                {"apiVersion": api_version, "kind": name_of_kind.removesuffix("List")} if name_of_kind != "List" else {}
            )
            inner = {**told, **item} if isinstance(item, dict) else item
            _read(document, inner, f"{at}.items[{index}]".removeprefix("."), into, namespace, wrong)
        return
    kind = kind_of(str(api_version or ""), str(name_of_kind or ""))
    if kind is None:
        return
    for field, message in _keep(document, raw, at, kind, into, namespace):
        path = f"{at}.{field}".strip(".")
        wrong.append(f"{document.place(path)}: {name_of_kind} {_shown_name(raw)}: {field}: {message}")


def _keep(
    document: Document, raw: dict[str, Any], at: str, kind: Kind, into: Gathering, namespace: str
) -> Iterator[tuple[str, str]]:
    """Gathers one object, and yields what is wrong with it as field and message."""
    if not raw.get("apiVersion"):
        yield "apiVersion", f"is missing; write {kind.versions[0]}"
        return
    if not is_served(kind, str(raw["apiVersion"])):
        if kind.group == API_GROUP:
            yield "apiVersion", f"{raw['apiVersion']} is not served; write {API_GROUP}/{kind.versions[0]}"
        else:
            warn(f"{document.place(at)}: {raw['apiVersion']} {kind.kind} is passed over: not a version that is read")
        return
    found = raw.get("metadata")
    metadata: Mapping[str, Any] = found if isinstance(found, dict) else {}
    name = metadata.get("name") or metadata.get("generateName")
    if not isinstance(name, str) or not name:
        yield "metadata.name", "is missing; give the object a name"
        return
    written_namespace = metadata.get("namespace") or namespace
    if not isinstance(written_namespace, str):
        yield "metadata.namespace", f"{written_namespace!r} is not a string; put it in quotes"
        return
    raw = {**raw, "metadata": {**metadata, "name": name, "namespace": written_namespace}}
    if kind.group == API_GROUP:
        again = twice(document.node) if not at else None
        if again is not None:
            yield again[0], f"is written twice; the second time in line {again[1]}"
            return
        raw = without_nulls(raw)
        refused = refusals(raw)
        if refused:
            yield from ((each.field, each.message) for each in refused)
            return
    try:
        value = kind.parse(raw)
    except BadField as error:
        yield error.field, error.message
        return
    if isinstance(value, ExposurePolicy | ClusterExposurePolicy) and isinstance(value.spec, Unreadable):
        yield value.spec.field, value.spec.message
        return
    if into.keep(kind, value):
        shown = f"{written_namespace}/{name}" if kind.namespaced else name
        warn(f"{document.place(at)}: {kind.kind} {shown} is defined again; this one counts")


def _shown_name(raw: Mapping[str, Any]) -> str:
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        return "without a name"
    return str(metadata.get("name") or metadata.get("generateName") or "without a name")
