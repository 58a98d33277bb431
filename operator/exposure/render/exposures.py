"""Exposures as API objects: one server-side apply says the whole entry point."""

from collections.abc import Iterable, Mapping
from typing import Any

from exposure.catalog.cnis import CNIS
from exposure.labels import NAMESPACE_LABEL
from exposure.model.exposures import Exposure, Source, SourceKind
from exposure.networkpolicy.render import owner_reference
from exposure.networkpolicy.values import Peer
from exposure.parse.kinds import API_VERSION
from exposure.render.status import condition, conditions, programmed

#: How many entries fit in a table's cell; the lists beside it are whole.
CELL_ENTRIES = 3
NONE = "<none>"
#: Whom the policy asks for comes before what else arrives, so that a short cell does not hide it.
CELL_ORDER = (
    SourceKind.CLIENTS,
    SourceKind.OUTSIDE,
    SourceKind.LOAD_BALANCER,
    SourceKind.PROXY_PODS,
    SourceKind.PEERS,
    SourceKind.NODES,
    SourceKind.HEALTH_CHECKS,
)


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


def exposure_lists(exposure: Exposure) -> dict[str, Any]:
    """What an entry point has several of. Every field is there; one without a value is empty."""
    return {
        "entryPoints": list(exposure.entry_points),
        "addresses": list(exposure.addresses),
        "ports": [
            {"name": port.name, "port": port.port, "targetPort": port.target_port, "protocol": port.protocol}
            for port in exposure.ports
        ],
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


def exposure_status(exposure: Exposure) -> dict[str, Any]:
    """Everything about an entry point but its conditions."""
    policy, lists = exposure.policy, exposure_lists(exposure)
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
    return {name: value for name, value in fields.items() if value}


def open_text(exposure: Exposure) -> str:
    """`80→http, 443→8443`: Service port to target port."""
    return ", ".join(f"{port.port}→{port.target_port}" for port in exposure.ports) or "nothing"


def from_text(exposure: Exposure) -> str:
    """Who is admitted, as short as a table's cell must be: the first ranges, and how many more there are."""
    sources = sorted(exposure.sources, key=lambda source: CELL_ORDER.index(source.kind))
    entries = list(dict.fromkeys(entry for source in sources for entry in _entries(source)))
    more = f" +{len(entries) - CELL_ENTRIES}" if len(entries) > CELL_ENTRIES else ""
    return ",".join(entries[:CELL_ENTRIES]) + more or NONE


def _entries(source: Source) -> Iterable[str]:
    if source.kind is SourceKind.HEALTH_CHECKS:
        return ()
    return (*(str(block.cidr) for block in source.blocks), *map(_peer_entry, source.peers))


def _peer_entry(peer: Peer) -> str:
    """`shop/app=web`, `shop/*`, `*/app=web`: namespace and pods; `./` is the entry point's own namespace."""
    if peer.block is not None:
        return str(peer.block.cidr)
    pods = "*" if peer.pods is None or peer.pods.empty else str(peer.pods)
    if peer.namespaces is None:
        return f"./{pods}"
    by_name = dict(peer.namespaces.labels).get(NAMESPACE_LABEL) if len(peer.namespaces.labels) == 1 else None
    return f"{by_name or ('*' if peer.namespaces.empty else peer.namespaces)}/{pods}"


def _conditions(exposure: Exposure, not_programmed: str) -> list[dict[str, Any]]:
    if exposure.policy is None and exposure.default_deny:
        return [condition("Ready", True, "Denied", "A default deny holds, and nothing opens this entry point.")]
    if exposure.policy is None:
        return [condition("Ready", False, "Ungoverned", "No policy governs this entry point.")]
    is_programmed, written = programmed(exposure.mode, not_programmed)
    if not is_programmed:
        return [written, {**written, "type": "Ready"}]
    if exposure.refusal:
        return [written, condition("Ready", False, "Refused", exposure.refusal)]
    return [written, condition("Ready", True, "Ready", "What is open is what the policy asks for.")]
