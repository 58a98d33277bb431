"""The kubeconfig: found as kubectl finds it, and read by the client library; why one cannot be used.

The library goes on without credentials where the user is missing or its command fails. Here, both are errors.
"""

import logging
import os
from pathlib import Path
from typing import Any

from kubernetes import config

from exposure.cli.command import UsageError
from exposure.cli.documents import documents, read_text
from exposure.fields import Raw, mapping, objects, text

DEFAULT = "~/.kube/config"


def configure(configuration: Any, kubeconfig: str | None, context: str | None) -> str:
    """Fills the client library's configuration, and returns the namespace of the context.

    As kubectl: the files of `kubeconfig`, of $KUBECONFIG or the default one; without any, the service account of a pod.
    UsageError where no cluster can be asked.
    """
    names = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT
    files = [str(path) for name in names.split(os.pathsep) if name and (path := Path(name).expanduser()).exists()]
    if not files:
        try:
            if names != DEFAULT or context is not None:
                raise config.ConfigException
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise UsageError(
                f"The kubeconfig {names} does not exist, so there is no cluster to read. Set --kubeconfig, or use "
                "-f to read manifests without a cluster."
            ) from error
        return "default"
    contents = [document.content for file in files for document in documents(read_text(file), file)]
    contents = [content for content in contents if isinstance(content, dict)]
    # The first file that has a name decides.
    current = context or next(filter(None, (text(content, "current-context") for content in contents)), "")
    contexts, users = _by_name(contents, "context"), _by_name(contents, "user")
    if current not in contexts:
        missing = f"context {current}" if current else "current-context"
        known = ", ".join(sorted(contexts)) or "none"
        raise UsageError(f"The kubeconfig {names} has no {missing}. Set --context to one of: {known}.")
    user = text(contexts[current], "user")
    if user and user not in users:  # Without a user, requests are anonymous.
        known = ", ".join(sorted(users)) or "none"
        raise UsageError(
            f"Context {current} of the kubeconfig names the user {user!r}, which does not exist. Users: {known}."
        )
    logged: list[logging.LogRecord] = []
    # As a filter it drops what it collects, because it returns None.
    collect: Any = logged.append
    logging.getLogger().addFilter(collect)
    try:
        config.load_kube_config(os.pathsep.join(files), current, configuration, persist_config=False)
    except Exception as error:  # A ConfigException, or what its code meets: it does not check what it reads.
        readable = isinstance(error, config.ConfigException | OSError | ValueError)
        reason = error if readable else "an entry does not have the form that kubectl config writes"
        raise UsageError(
            f"Context {current} of the kubeconfig {names} cannot be used: {reason}. Check it with kubectl config view."
        ) from error
    finally:
        logging.getLogger().removeFilter(collect)
    if not configuration.host.startswith(("http://", "https://")):
        raise UsageError(
            f"Context {current} of the kubeconfig {names} has the server {configuration.host!r}. Use a URL such as "
            "https://203.0.113.1:6443."
        )
    if any(record.levelno >= logging.ERROR for record in logged):
        command = text(mapping(users.get(user, {}), "exec"), "command")
        raise UsageError(
            f"The command {command} of user {user} in the kubeconfig returns no credentials. Run kubectl get "
            "namespaces, which runs the same command, and follow its message."
        )
    return text(contexts[current], "namespace") or "default"


def _by_name(contents: list[Raw], kind: str) -> dict[str, Raw]:
    """The entries of a kind of all files, such as contexts. The first file that has a name decides."""
    by_name: dict[str, Raw] = {}
    for content in contents:
        for entry in objects(content, f"{kind}s"):
            by_name.setdefault(text(entry, "name"), mapping(entry, kind))
    return by_name
