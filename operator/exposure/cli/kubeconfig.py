"""The kubeconfig: found and merged as kubectl does it, and why one cannot be used.

The client library reads it, too, and checks little: it raises what its code meets, and logs what it goes on without. So
the usual mistakes are looked for first.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exposure.cli.command import UsageError
from exposure.cli.documents import documents, read_text
from exposure.fields import Raw, mapping, objects, text

DEFAULT = "~/.kube/config"

NO_KUBECONFIG = (
    "There is no kubeconfig {path}, so no cluster can be asked. Give --kubeconfig, or -f to read manifests without a "
    "cluster."
)
NO_CURRENT_CONTEXT = "The kubeconfig {path} has no current-context. Give --context, one of: {known}."
NO_SUCH_CONTEXT = "The kubeconfig {path} has no context {name}. Give --context, one of: {known}."
NO_SUCH_ENTRY = (
    "Context {context} of the kubeconfig names the {kind} {name!r}, which is not there. Its {kind}s: {known}."
)
BAD_SERVER = "Cluster {name} of the kubeconfig has the server {server!r}. Write a URL such as https://203.0.113.1:6443."
NO_CREDENTIALS = (
    "The command {command} of user {user} in the kubeconfig gives no credentials. Run kubectl get namespaces, "
    "which runs it as well, and follow its message."
)
NOT_USABLE = (
    "Context {context} of the kubeconfig {path} cannot be used: a certificate, a key or a token of its cluster or its "
    "user cannot be read. Check them with kubectl config view."
)

Entries = dict[str, dict[str, Raw]]


def configure(configuration: Any, kubeconfig: str | None, context: str | None) -> str:
    """Fills the client library's configuration, and returns the namespace of the context.

    As kubectl: the files of `kubeconfig`, of $KUBECONFIG or the default one; without any, the service account of a pod.
    UsageError where no cluster can be asked.
    """
    from kubernetes import config

    names = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT
    paths = [path for name in names.split(os.pathsep) if name and (path := Path(name).expanduser()).exists()]
    if not paths:
        try:
            if names != DEFAULT or context is not None:
                raise config.ConfigException
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise UsageError(NO_KUBECONFIG.format(path=names)) from error
        return "default"
    current, entries = _merged(paths)
    name = context or current
    chosen = _context(names, name, entries)
    logged: list[logging.LogRecord] = []
    # As a filter it drops what it collects, because it returns None.
    collect: Any = logged.append
    logging.getLogger().addFilter(collect)
    try:
        files = os.pathsep.join(map(str, paths))
        config.load_kube_config(files, name, client_configuration=configuration, persist_config=False)
    except Exception as error:  # A ConfigException, or what its code meets: it does not check what it reads.
        raise UsageError(NOT_USABLE.format(context=name, path=names)) from error
    finally:
        logging.getLogger().removeFilter(collect)
    user = text(chosen, "user")
    command = text(mapping(entries["user"].get(user, {}), "exec"), "command")
    if command and any(record.levelno >= logging.ERROR for record in logged):
        # The library goes on without credentials where the command fails.
        raise UsageError(NO_CREDENTIALS.format(command=command, user=user))
    return text(chosen, "namespace") or "default"


def _merged(paths: Sequence[Path]) -> tuple[str, Entries]:
    """The current context and the entries of all files by kind and name. The first file that has a name decides."""
    current, entries = "", Entries(context={}, cluster={}, user={})
    for path in paths:
        contents = [document.content for document in documents(read_text(str(path)), str(path))]
        content = contents[0] if contents and isinstance(contents[0], dict) else {}
        current = current or text(content, "current-context")
        for kind, by_name in entries.items():
            for entry in objects(content, f"{kind}s"):
                by_name.setdefault(text(entry, "name"), mapping(entry, kind))
    return current, entries


def _context(path: str, name: str, entries: Entries) -> Raw:
    """The context of that name. UsageError where there is none, or its cluster and its user cannot be used."""
    if name not in entries["context"]:
        problem = NO_SUCH_CONTEXT if name else NO_CURRENT_CONTEXT
        raise UsageError(problem.format(path=path, name=name, known=_known(entries["context"])))
    context = entries["context"][name]
    for kind in ("cluster", "user"):
        named, by_name = text(context, kind), entries[kind]
        # Without a user, requests are anonymous.
        if named not in by_name and (named or kind == "cluster"):
            raise UsageError(NO_SUCH_ENTRY.format(context=name, kind=kind, name=named, known=_known(by_name)))
    cluster = text(context, "cluster")
    server = text(entries["cluster"][cluster], "server")
    if not _is_url(server):
        raise UsageError(BAD_SERVER.format(name=cluster, server=server))
    return context


def _known(by_name: dict[str, Raw]) -> str:
    return ", ".join(sorted(by_name)) or "none"


def _is_url(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # A port beyond 65535, or brackets that do not match.
        return False
