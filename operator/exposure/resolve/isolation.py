"""What isolation several policies ask for together."""

from collections.abc import Iterable

from exposure.model.intent import Isolation


def combined_isolation(isolations: Iterable[Isolation]) -> Isolation:
    """A denial that is written beats an allowance. Where no policy writes a field, its default applies.

    The defaults of a policy are: ingress isolated, egress not, the same namespace not allowed. No policy: not isolated.
    """
    written = list(isolations)
    if not written:
        return Isolation(ingress=False, egress=False, allow_same_namespace=False)
    ingress = [isolation.ingress for isolation in written if isolation.ingress is not None]
    same_namespace = [
        isolation.allow_same_namespace for isolation in written if isolation.allow_same_namespace is not None
    ]
    return Isolation(
        ingress=any(ingress) or not ingress,
        egress=any(isolation.egress for isolation in written),
        allow_same_namespace=bool(same_namespace) and all(same_namespace),
    )


def isolates(isolation: Isolation) -> bool:
    """Whether a policy with this isolation isolates its namespace in some direction."""
    return isolation.ingress is not False or isolation.egress is True
