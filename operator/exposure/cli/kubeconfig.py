"""The kubeconfig: found and merged as kubectl does it, and why one cannot be used.

The client library reads it, too. What it raises or logs speaks of its own code, so the mistakes that people make are
looked for before.
"""

import base64
import binascii
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exposure.cli.command import UsageError
from exposure.cli.documents import documents

DEFAULT = "~/.kube/config"
FILE_FIELDS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
DATA_FIELDS = ("certificate-authority-data", "client-certificate-data", "client-key-data")

NO_KUBECONFIG = "There is no kubeconfig {path}, so no cluster can be asked. Give --kubeconfig, or -f to read manifests without a cluster."
NOT_READABLE = "The kubeconfig {path} cannot be read: {reason}. Give another with --kubeconfig."
NOT_A_KUBECONFIG = "The kubeconfig {path} is not one: {reason}. Compare it with kubectl config view."
NO_CURRENT_CONTEXT = "The kubeconfig {path} has no current-context. Give --context: {known}."
NO_SUCH_CONTEXT = "The kubeconfig {path} has no context {name}. Give --context: {known}."
NO_SUCH_ENTRY = "Context {context} of the kubeconfig names the {kind} {name}, which is not there. Its {kind}s: {known}."
BAD_SERVER = (
    "The server of cluster {name} in the kubeconfig is {server!r}. Write a URL such as https://203.0.113.1:6443."
)
NO_SUCH_FILE = "{field} of {entry} in the kubeconfig names {path}, which cannot be read. Correct the path."
NOT_BASE64 = "{field} of {entry} in the kubeconfig is not base64. Correct it, or name a file in {file_field}."
NO_CREDENTIALS = (
    "The command {command} of user {user} in the kubeconfig gives no credentials. Run kubectl get namespaces, which runs it "
    "as well, and follow its message."
)
NOT_USABLE = (
    "The client library cannot use context {context} of the kubeconfig {path}. Check the cluster and the user of that context "
    "with kubectl config view."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A named entry of a kubeconfig, with the file that it is from: paths in it are relative to that file."""

    kind: str
    name: str
    path: Path
    content: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


Entries = dict[str, dict[str, Entry]]


def configure(configuration: Any, kubeconfig: str | None, context: str | None) -> str:
    """Fills the client library's configuration, and returns the namespace of the context.

    As kubectl: the files of `kubeconfig`, of $KUBECONFIG or the default one; without any, the service account of a pod.
    UsageError where no cluster can be asked.
    """
    from kubernetes import config

    names = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT
    paths = [Path(name).expanduser() for name in names.split(os.pathsep) if name]
    existing = [path for path in paths if path.exists()]
    if not existing:
        if names != DEFAULT or context is not None:
            raise UsageError(NO_KUBECONFIG.format(path=names))
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise UsageError(NO_KUBECONFIG.format(path=names)) from error
        return "default"
    chosen, user = _checked(existing, context)
    with _Collector() as logged:
        try:
            config.load_kube_config(
                os.pathsep.join(map(str, existing)),
                chosen.name,
                client_configuration=configuration,
                persist_config=False,
            )
        except Exception as error:  # Whatever its parser meets: it does not check what it reads.
            raise UsageError(NOT_USABLE.format(context=chosen.name, path=names)) from error
    if logged and user is not None and isinstance(user.content.get("exec"), dict):
        # The library goes on without credentials where the command fails.
        command = user.content["exec"].get("command")
        raise UsageError(NO_CREDENTIALS.format(command=command, user=user.name))
    return str(chosen.content.get("namespace") or "default")


def _checked(paths: Sequence[Path], context: str | None) -> tuple[Entry, Entry | None]:
    """The context that counts and its user, if it names one. UsageError where they cannot be used."""
    shown = os.pathsep.join(map(str, paths))
    entries: Entries = {"context": {}, "cluster": {}, "user": {}}
    current = ""
    for path in paths:
        content = _content(path)
        current = current or str(content.get("current-context") or "")
        for kind, by_name in entries.items():
            for entry in _entries(kind, path, content):
                by_name.setdefault(entry.name, entry)
    known = ", ".join(sorted(entries["context"])) or "none"
    name = context or current
    if not name:
        raise UsageError(NO_CURRENT_CONTEXT.format(path=shown, known=known))
    if name not in entries["context"]:
        raise UsageError(NO_SUCH_CONTEXT.format(path=shown, name=name, known=known))
    chosen = entries["context"][name]
    cluster = _named_by(chosen, "cluster", entries)
    server = str(cluster.content.get("server") or "")
    if not _is_url(server):
        raise UsageError(BAD_SERVER.format(name=cluster.name, server=server))
    user = _named_by(chosen, "user", entries) if chosen.content.get("user") else None
    _check_files(cluster)
    if user is not None:
        _check_files(user)
    return chosen, user


def _content(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(NOT_READABLE.format(path=path, reason=error.strerror)) from error
    except UnicodeDecodeError as error:
        raise UsageError(NOT_A_KUBECONFIG.format(path=path, reason="it is not UTF-8 text")) from error
    for document in documents(text, str(path)):
        if isinstance(document.content, dict):
            return document.content
        raise UsageError(NOT_A_KUBECONFIG.format(path=path, reason="it holds no object"))
    raise UsageError(NOT_A_KUBECONFIG.format(path=path, reason="it is empty"))


def _entries(kind: str, path: Path, content: Mapping[str, Any]) -> Iterator[Entry]:
    listed = content.get(f"{kind}s") or []
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and "name" in entry for entry in listed):
        raise UsageError(NOT_A_KUBECONFIG.format(path=path, reason=f"{kind}s is not a list of entries with a name"))
    for entry in listed:
        inner = entry.get(kind)
        yield Entry(kind, str(entry["name"]), path, inner if isinstance(inner, dict) else {})


def _named_by(context: Entry, kind: str, entries: Entries) -> Entry:
    name = str(context.content.get(kind) or "")
    if name not in entries[kind]:
        known = ", ".join(sorted(entries[kind])) or "none"
        raise UsageError(NO_SUCH_ENTRY.format(context=context.name, kind=kind, name=name, known=known))
    return entries[kind][name]


def _is_url(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # A port beyond 65535, or brackets that do not match.
        return False


def _check_files(entry: Entry) -> None:
    for field in DATA_FIELDS:
        try:
            base64.standard_b64decode(str(entry.content.get(field) or ""))
        except binascii.Error as error:
            file_field = field.removesuffix("-data")
            raise UsageError(NOT_BASE64.format(field=field, entry=entry, file_field=file_field)) from error
    for field in FILE_FIELDS:
        name = entry.content.get(field)
        path = entry.path.absolute().parent / str(name)
        if name and not entry.content.get(f"{field}-data") and not os.access(path, os.R_OK):
            raise UsageError(NO_SUCH_FILE.format(field=field, entry=entry, path=path))


class _Collector(logging.Handler):
    """Collects what is logged on the root logger, and keeps it from standard error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> list[logging.LogRecord]:
        logging.getLogger().addHandler(self)
        return self.records

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
