"""The CEL rules of the CRDs, evaluated by a library, with the functions that Kubernetes adds to the language.

https://kubernetes.io/docs/reference/using-api/cel/
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from ipaddress import IPv6Interface, ip_interface
from typing import TYPE_CHECKING, Any

from exposure.addresses import inside, network

if TYPE_CHECKING:
    import cel

#: Go's netip.ParsePrefix takes no netmask, no zone, and no prefix length with leading zeros; ipaddress takes them all.
_CIDR = re.compile(r"[0-9A-Fa-f:.]+/(?:0|[1-9][0-9]{0,2})", re.ASCII)


def holds(rule: str, values: Sequence[Any]) -> bool:
    """Whether a rule is true of each value as `self`. As on the API server, a rule that cannot be evaluated is not.

    One call for many values: a call takes 10 µs, and a policy may list thirty thousand CIDRs.
    """
    library = _library()
    try:
        return _compiled(rule).execute(library.Context({"values": values}, FUNCTIONS)) is True
    except Exception:
        return False


@cache
def _compiled(rule: str) -> "cel.Program":
    # The library compiles a regular expression anew at each call of its own `matches`, which takes 60 µs.
    own_rule = rule.replace(".matches(", ".matchesPattern(")
    program: cel.Program = _library().compile(f"values.all(self, {own_rule})")
    return program


@cache
def _library() -> Any:
    """The compiled part of `cel`, alone: its package imports a terminal as well, which takes 0.4 s and 30 MB."""
    package: Any = find_spec("cel")
    spec: Any = PathFinder.find_spec("cel", package.submodule_search_locations)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def matches(text: str, pattern: str) -> bool:
    """Whether RE2 finds the pattern in a text."""
    return _regular_expression(pattern).search(text) is not None


@cache
def _regular_expression(pattern: str) -> re.Pattern[str]:
    # Python's own `$` would also match before a line feed at the end.
    return re.compile(re.sub(r"\$$", r"\\Z", pattern), re.ASCII)


@lru_cache(maxsize=65536)
def _cidr(text: str) -> str | None:
    """A CIDR in canonical form, or None. As Kubernetes reads it: host bits may be set, IPv4 inside IPv6 is no CIDR."""
    if _CIDR.fullmatch(text) is None:
        return None
    try:
        interface = ip_interface(text)
    except ValueError:
        return None
    return None if isinstance(interface, IPv6Interface) and interface.ipv4_mapped else str(interface)


#: Kubernetes' CIDR library, whose CIDRs are strings here. A method is a function whose first argument is its receiver.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "isCIDR": lambda text: _cidr(text) is not None,
    "cidr": _cidr,
    "masked": lambda cidr: str(network(cidr)),
    "prefixLength": lambda cidr: network(cidr).prefixlen,
    "containsCIDR": lambda outer, inner: inside(network(inner), network(outer)),
    "matchesPattern": matches,
}
