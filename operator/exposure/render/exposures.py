"""Exposures as API objects, each written by one server-side apply, and as JSON for machines."""

from collections.abc import Iterable, Mapping
from typing import Any

from exposure.addresses import Network
from exposure.catalog.cnis import CNIS
from exposure.labels import NAMESPACE_LABEL
from exposure.model.exposures import Exposure, Source, SourceKind
from exposure.model.objects import ServicePort
from exposure.networkpolicy.render import owner_reference, peer, port
from exposure.networkpolicy.values import Peer
from exposure.parse.kinds import API_VERSION
from exposure.render.status import condition, conditions, programmed

#: How many entries fit in a table's cell; the lists beside it are whole.
CELL_ENTRIES = 3
NONE = "<none>"
CELL_ORDER = list(SourceKind)


def exposure_manifest(
    exposure: Exposure, not_programmed: str, now: str, previous_conditions: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The object as it is applied. `not_programmed`: why the live policies do not equal the plan, "" where they do."""
    metadata: dict[str, Any] = {
        "namespace": exposure.namespace,
        "name": exposure.name,
        "labels": {"app.kubernetes.io/managed-by": "exposure-operator"},
    }
    if exposure.owner.uid:
        metadata["ownerReferences"] = [owner_reference(exposure.owner)]
    status = exposure_status(exposure)
    status["conditions"] = conditions(_conditions(exposure, not_programmed), previous_conditions, now)
    return {"apiVersion": API_VERSION, "kind": "Exposure", "metadata": metadata, "status": status}


def _lists(exposure: Exposure) -> dict[str, Any]:
    """The lists of an entry point. Every field is present; one without a value is empty."""
    return {
        "entryPoints": list(exposure.entry_points),
        "addresses": list(exposure.addresses),
        "ports": ports_json(exposure.ports),
        "backends": [
            {"namespace": backend.service.namespace, "service": backend.service.name}
            | {"selector": backend.selector, "ready": backend.ready, "total": backend.total}
            for backend in exposure.backends
        ],
        "networkPolicies": [{"namespace": ref.namespace, "name": ref.name} for ref in exposure.network_policies],
        "blindSpots": [
            {"reason": spot.reason, "effect": spot.effect, "message": spot.message, "cure": spot.cure}
            for spot in exposure.blind_spots
        ],
    }


def ports_json(ports: Iterable[ServicePort]) -> list[dict[str, Any]]:
    return [{"name": p.name, "port": p.port, "targetPort": p.target_port, "protocol": p.protocol} for p in ports]


def exposure_json(exposure: Exposure) -> dict[str, Any]:
    """For machines: a stable shape, documented field by field in docs/reference/cli.md.

    `peers` and a source's `ports` are written as in a NetworkPolicy. Lists keep the order of the resolution, which is
    sorted. A field without a value is an empty string or list, never missing, except `policy`: null where none governs.
    """
    owner, policy = exposure.owner, exposure.policy
    return {
        "namespace": exposure.namespace,
        "name": exposure.name,
        "owner": {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name},
        **_lists(exposure),
        "sources": [_source_json(source) for source in exposure.sources],
        "policy": policy and {"kind": policy.kind, "namespace": policy.namespace, "name": policy.name},
        "mode": exposure.mode,
        "profile": exposure.profile,
        "cni": exposure.cni,
        "refusal": exposure.refusal,
        "defaultDeny": exposure.default_deny,
    }


def _source_json(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "entryPoint": source.entry_point,
        "cidrs": [{"cidr": str(block.cidr), "except": list(map(str, block.excepts))} for block in source.blocks],
        "peers": [peer(named) for named in source.peers],
        "ports": [port(of_pods) for of_pods in source.ports],
        "row": source.row.id,
        "explanation": source.explanation,
        "reference": source.reference,
    }


def exposure_status(exposure: Exposure) -> dict[str, Any]:
    """Everything about an entry point but its conditions."""
    policy, lists = exposure.policy, _lists(exposure)
    status: dict[str, Any] = {
        **lists,
        "ports": list(map(_filled, lists["ports"])),
        "blindSpots": list(map(_filled, lists["blindSpots"])),
        "type": ",".join(exposure.entry_points),
        "address": ",".join(exposure.addresses[:2]) + (",…" if len(exposure.addresses) > 2 else ""),
        "open": open_text(exposure),
        "sources": [_source(source) for source in exposure.sources],
        "from": from_text(exposure),
        "policy": policy.name if policy else NONE,
        "cni": exposure.cni,
        "position": CNIS[exposure.cni].position if exposure.cni in CNIS else "",
        "blindSpotReasons": ",".join(dict.fromkeys(spot.reason for spot in exposure.blind_spots)),
    }
    if exposure.profile:
        status |= {"profile": exposure.profile, "delivery": exposure.delivery}
    if policy is not None:
        status["policyRef"] = _filled({"kind": policy.kind, "name": policy.name, "namespace": policy.namespace})
    return status


def _source(source: Source) -> dict[str, Any]:
    written: dict[str, Any] = {
        "kind": source.kind.value,
        "cidrs": [str(block.cidr) for block in source.blocks],
        "ports": list(map(str, source.ports)),
        "entryPoint": source.entry_point,
        "explanation": source.explanation,
        "row": source.row.id,
        "source": source.reference,
    }
    excepts = sorted({str(cut) for block in source.blocks for cut in block.excepts})
    return written | _filled({"except": excepts, "peer": "; ".join(map(str, source.peers))})


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value or value == 0}


def open_text(exposure: Exposure) -> str:
    """`80→http, 443→8443`: Service port to target port."""
    return ", ".join(f"{port.port}→{port.target_port}" for port in exposure.ports) or "nothing"


def from_text(exposure: Exposure) -> str:
    """Who is admitted, as short as a table's cell must be: the first ranges, and how many more there are."""
    sources = sorted(exposure.sources, key=lambda source: CELL_ORDER.index(source.kind))
    entries = list(dict.fromkeys(entry for source in sources for entry in _entries(source)))
    more = f" +{len(entries) - CELL_ENTRIES}" if len(entries) > CELL_ENTRIES else ""
    return ",".join(map(str, entries[:CELL_ENTRIES])) + more or NONE


def _entries(source: Source) -> Iterable[Network | str]:
    """Networks are written as text only where the cell shows them: a source may have hundreds."""
    if source.kind is SourceKind.HEALTH_CHECKS:
        return ()
    return (*(block.cidr for block in source.blocks), *map(_peer_entry, source.peers))


def _peer_entry(peer: Peer) -> Network | str:
    """`shop/app=web`, `shop/*`, `*/app=web`: namespace and pods; `./` is the entry point's own namespace."""
    if peer.block is not None:
        return peer.block.cidr
    pods = "*" if peer.pods is None or peer.pods.empty else str(peer.pods)
    if peer.namespaces is None:
        return f"./{pods}"
    by_name = dict(peer.namespaces.labels).get(NAMESPACE_LABEL) if len(peer.namespaces.labels) == 1 else None
    return f"{by_name or ('*' if peer.namespaces.empty else peer.namespaces)}/{pods}"


def _conditions(exposure: Exposure, not_programmed: str) -> list[dict[str, Any]]:
    if exposure.policy is None and exposure.default_deny:
        return [condition("Ready", True, "Denied", "A default deny holds, and no policy opens this entry point.")]
    if exposure.policy is None:
        return [condition("Ready", False, "Ungoverned", "No policy governs this entry point.")]
    is_programmed, written = programmed(exposure.mode, not_programmed)
    if not is_programmed:
        return [written, {**written, "type": "Ready"}]
    if exposure.refusal:
        return [written, condition("Ready", False, "Refused", exposure.refusal)]
    return [written, condition("Ready", True, "Ready", "The NetworkPolicies admit what the policy asks for.")]
