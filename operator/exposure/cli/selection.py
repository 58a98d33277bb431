"""The object that a person names on the command line, and the entry points that belong to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exposure.cli.command import UsageError
from exposure.cli.inputs import Input
from exposure.cli.options import OBJECT_FORMS
from exposure.model.exposures import Exposure
from exposure.model.objects import Ref

#: The kinds that can be named, each with its API group and what kubectl calls it.
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Service": ("", ("service", "services", "svc")),
    "Ingress": ("networking.k8s.io", ("ingress", "ingresses", "ing")),
    "Gateway": ("gateway.networking.k8s.io", ("gateway", "gateways", "gtw")),
    "Exposure": ("exposure.dev", ("exposure", "exposures", "exp")),
}


@dataclass(frozen=True, slots=True)
class NamedObject:
    kind: str
    ref: Ref

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}"

    def owns(self, exposure: Exposure) -> bool:
        """Whether the entry point is this object, or leads to it."""
        match self.kind:
            case "Exposure":
                return exposure.ref == self.ref
            case "Service":
                return any(backend.service == self.ref for backend in exposure.backends)
            case kind:
                return exposure.owner.kind == kind and Ref(exposure.namespace, exposure.owner.name) == self.ref


def named_object(given: Input, exposures: Iterable[Exposure], text: str) -> NamedObject:
    """What `text` names: OBJECT_FORMS says how. UsageError where that is no object, or where it can be several.

    `exposures`: every entry point of the snapshot. A namespace that is called like a kind comes second to the kind.
    """
    prefix, name = text.split("/", 1) if "/" in text else ("service", text)
    if not prefix or not name or "/" in name:
        raise UsageError(f"{text} is not the name of an object. Use {OBJECT_FORMS}, with -n for the namespace.")
    kind = _kind(prefix)
    namespaces = _namespaces_with(given, exposures, kind, name)
    if given.default_namespace in namespaces:
        namespaces = [given.default_namespace]
    if kind and len(namespaces) > 1:
        listed = ", ".join(namespaces)
        raise UsageError(f"{kind} {name} exists in several namespaces: {listed}. Choose one with -n.")
    if kind and namespaces:
        return NamedObject(kind, Ref(namespaces[0], name))
    if name in given.snapshot.services.get(prefix, {}):
        return NamedObject("Service", Ref(prefix, name))
    if kind or prefix in given.snapshot.namespaces:
        missing = f"{kind} {name}" if kind else f"Service {text}"
        raise UsageError(f"There is no {missing}. kubectl exposure map -A lists every entry point.")
    raise UsageError(f"{text}: {prefix} is neither a namespace nor a kind with entry points. Use {OBJECT_FORMS}.")


def _kind(word: str) -> str | None:
    """The kind that kubectl means by `svc`, `Services`, or `ingress.networking.k8s.io`."""
    name, _, group = word.lower().partition(".")
    matching = (kind for kind, (own_group, names) in KINDS.items() if name in names and group in ("", own_group))
    return next(matching, None)


def _namespaces_with(given: Input, exposures: Iterable[Exposure], kind: str | None, name: str) -> list[str]:
    """The namespaces that have an object of that kind and name, sorted."""
    if kind == "Exposure":
        return sorted({exposure.namespace for exposure in exposures if exposure.name == name})
    snapshot = given.snapshot
    by_kind = {"Service": snapshot.services, "Ingress": snapshot.ingresses, "Gateway": snapshot.gateways}
    by_namespace = by_kind.get(kind or "", {})
    return sorted(namespace for namespace, objects in by_namespace.items() if name in objects)
