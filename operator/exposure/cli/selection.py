"""The object that a person names on the command line, and the entry points that belong to it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from exposure.cli.command import UsageError
from exposure.cli.inputs import Input
from exposure.model.exposures import Exposure
from exposure.model.objects import Ref

#: The kinds that can be named, each with its API group and what kubectl calls it.
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Service": ("", ("service", "services", "svc")),
    "Ingress": ("networking.k8s.io", ("ingress", "ingresses", "ing")),
    "Gateway": ("gateway.networking.k8s.io", ("gateway", "gateways", "gtw")),
    "Exposure": ("exposure.dev", ("exposure", "exposures", "exp")),
}
METAVAR = "[NAMESPACE/]SERVICE"
FORMS = f"{METAVAR}, service/NAME, ingress/NAME, gateway/NAME or exposure/NAME"

BAD_NAME = f"{{text}} is not the name of an object. Write {FORMS}, with -n for the namespace."
NO_SUCH_PREFIX = f"{{text}}: {{prefix}} is neither a namespace nor a kind with entry points. Write {FORMS}."
NO_SUCH_OBJECT = "There is no {kind} {name}. kubectl exposure map -A lists every entry point."
SEVERAL_OBJECTS = "{kind} {name} exists in several namespaces: {namespaces}. Choose one with -n."


@dataclass(frozen=True, slots=True)
class NamedObject:
    kind: str
    ref: Ref

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}"

    def owns(self, exposure: Exposure) -> bool:
        """Whether the entry point is this object, or leads to it."""
        if self.kind == "Exposure":
            return Ref(exposure.namespace, exposure.name) == self.ref
        if self.kind == "Service" and any(backend.service == self.ref for backend in exposure.backends):
            return True
        return exposure.owner.kind == self.kind and Ref(exposure.namespace, exposure.owner.name) == self.ref


def named_object(given: Input, exposures: Iterable[Exposure], text: str) -> NamedObject:
    """What `text` names: FORMS says how. UsageError where that is no object, or where it can be several.

    `exposures`: every entry point of the snapshot. A namespace that is called like a kind comes second to the kind.
    """
    prefix, slash, name = text.partition("/")
    if not slash:
        prefix, name = "service", text
    if not prefix or not name or "/" in name:
        raise UsageError(BAD_NAME.format(text=text))
    kind = _kind(prefix)
    namespaces = sorted(set(_namespaces_with(given, exposures, kind, name))) if kind else []
    if kind and given.default_namespace in namespaces:
        return NamedObject(kind, Ref(given.default_namespace, name))
    if kind and len(namespaces) == 1:
        return NamedObject(kind, Ref(namespaces[0], name))
    if kind and namespaces:
        raise UsageError(SEVERAL_OBJECTS.format(kind=kind, name=name, namespaces=", ".join(namespaces)))
    if name in given.snapshot.services.get(prefix, {}):
        return NamedObject("Service", Ref(prefix, name))
    if kind:
        raise UsageError(NO_SUCH_OBJECT.format(kind=kind, name=name))
    if prefix in given.snapshot.namespaces:
        raise UsageError(NO_SUCH_OBJECT.format(kind="Service", name=text))
    raise UsageError(NO_SUCH_PREFIX.format(text=text, prefix=prefix))


def _kind(word: str) -> str | None:
    """The kind that kubectl means by `svc`, `Services`, or `ingress.networking.k8s.io`."""
    name, _, group = word.lower().partition(".")
    for kind, (own_group, names) in KINDS.items():
        if name in names and group in ("", own_group):
            return kind
    return None


def _namespaces_with(given: Input, exposures: Iterable[Exposure], kind: str, name: str) -> Iterator[str]:
    if kind == "Exposure":
        yield from (exposure.namespace for exposure in exposures if exposure.name == name)
        return
    snapshot = given.snapshot
    by_kind = {"Service": snapshot.services, "Ingress": snapshot.ingresses, "Gateway": snapshot.gateways}
    yield from (namespace for namespace, objects in by_kind[kind].items() if name in objects)
