"""Pieces of YAML that are safe for any name in them, and the limits of a proposal."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from exposure.labels import NAMESPACE_LABEL, Pairs

#: https://github.com/kubernetes/apimachinery/blob/master/pkg/util/validation/validation.go (IsValidLabelValue)
LABEL_KEY = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
#: What YAML 1.1 reads as something other than a string.
YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True, slots=True)
class ProposalLimits:
    """At most `cidrs` client ranges, none wider than `widest`; `dropped` also opens what was perhaps wanted."""

    cidrs: int = 32
    widest: dict[int, int] = field(default_factory=lambda: {4: 16, 6: 48})
    dropped: bool = False


def listed_ports(ports: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{{protocol: {protocol}, port: {number}}}" for protocol, number in sorted(ports))


def pods_peer(namespace: str, labels: Pairs, home: str) -> str:
    """A NetworkPolicyPeer in flow style: pods of a namespace, as a policy in namespace `home` names them."""
    where = "" if namespace == home else f"namespaceSelector: {_labels(((NAMESPACE_LABEL, namespace),))}, "
    return f"{{{where}podSelector: {_labels(labels)}}}"


def _labels(labels: Pairs) -> str:
    return f"{{matchLabels: {{{', '.join(f'{text(key)}: {text(value)}' for key, value in labels)}}}}}"


def writable(namespace: str, labels: Iterable[tuple[str, str]]) -> bool:
    """Whether the API server would accept the names: a log may hold anything."""
    return NAMESPACE.fullmatch(namespace) is not None and all(
        LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value) for key, value in labels
    )


def many(count: int) -> str:
    return f"{count} address" if count == 1 else f"{count} addresses"


def text(value: object) -> str:
    """A scalar that YAML reads back as it was, ASCII only: bare where nothing could be mistaken."""
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]*", value) and value not in YAML_WORDS:
        return value
    return json.dumps(value)


def listed(values: Iterable[object]) -> str:
    return f"[{', '.join(map(text, values))}]"


def comment(words: object) -> str:
    """ASCII and on one line, whatever the names in it."""
    return json.dumps(str(words))[1:-1]
