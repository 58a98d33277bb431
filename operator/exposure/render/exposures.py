"""Exposures as API objects: one server-side apply says the whole entry point."""

from collections.abc import Iterable, Mapping
from typing import Any

from exposure.catalog.cnis import CNIS
from exposure.labels import NAMESPACE_LABEL
from exposure.model.exposures import Exposure, Source, SourceKind
from exposure.networkpolicy.render import owner_reference
from exposure.networkpolicy.values import Peer
from exposure.parse.kinds import API_VERSION
from exposure.render.status import condition, conditions

#: What fits in a table's cell; the lists beside it are whole.
CELL_BLOCKS = 3
NOBODY = "nobody"
#: Who was asked for stands before what else arrives, so that a short cell does not hide it.
TELLING = (
    SourceKind.CLIENTS,
    SourceKind.OUTSIDE,
    SourceKind.LOAD_BALANCER,
    SourceKind.PROXY_PODS,
    SourceKind.PEERS,
    SourceKind.NODES,
    SourceKind.HEALTH_CHECKS,
)


def exposure_manifest(
    exposure: Exposure,
    *,
    ready: bool,
    programmed_message: str = "",
    now: str,
    previous_conditions: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The object as it is applied. `ready`: the live policies equal the plan; else `programmed_message` says why."""
    metadata: dict[str, Any] = {
        "namespace": exposure.namespace,
        "name": exposure.name,
        "labels": {"app.kubernetes.io/managed-by": "exposure-operator"},
    }
    if exposure.owner.uid:
        metadata["ownerReferences"] = [owner_reference(exposure.owner)]
    status = exposure_status(exposure)
    status["conditions"] = conditions(_conditions(exposure, ready, programmed_message), previous_conditions, now)
    return {"apiVersion": API_VERSION, "kind": "Exposure", "metadata": metadata, "status": status}


def exposure_status(exposure: Exposure) -> dict[str, Any]:
    """Everything about an entry point but its conditions."""
    status: dict[str, Any] = {
        "entryPoints": list(exposure.entry_points),
        "type": ",".join(exposure.entry_points),
        "addresses": list(exposure.addresses),
        "address": ",".join(exposure.addresses[:2]) + (",…" if len(exposure.addresses) > 2 else ""),
        "ports": [
            {
                **({"name": port.name} if port.name else {}),
                "port": port.port,
                "targetPort": port.target,
                "protocol": port.protocol,
            }
            for port in exposure.ports
        ],
        "open": open_text(exposure),
        "sources": [_source(each) for each in exposure.sources],
        "from": from_text(exposure),
        "backends": [
            {
                "namespace": each.service.namespace,
                "service": each.service.name,
                "selector": each.selector,
                "ready": each.ready,
                "total": each.total,
            }
            for each in exposure.backends
        ],
        "policy": "<none>" if exposure.policy is None else exposure.policy.name,
        "networkPolicies": [{"namespace": each.namespace, "name": each.name} for each in exposure.network_policies],
        "cni": exposure.cni,
        "position": CNIS[exposure.cni].position if exposure.cni in CNIS else "",
        "blindSpots": [
            {
                "reason": each.reason,
                "effect": each.effect,
                "message": each.message,
                **({"cure": each.cure} if each.cure else {}),
            }
            for each in exposure.blind_spots
        ],
        "blindSpotReasons": ",".join(dict.fromkeys(each.reason for each in exposure.blind_spots)),
    }
    if exposure.profile:
        status["profile"] = exposure.profile
        status["delivery"] = exposure.delivery
    if exposure.policy is not None:
        ref = {"kind": exposure.policy.kind, "name": exposure.policy.name}
        status["policyRef"] = ref | ({"namespace": exposure.policy.namespace} if exposure.policy.namespace else {})
    return status


def _source(source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": source.kind.value,
        "cidrs": [str(each.cidr) for each in source.blocks],
        "ports": list(map(str, source.ports)),
        "entryPoint": source.entry_point,
        "explanation": source.explanation,
        "row": source.row.id,
        "source": source.reference,
    }
    cuts = sorted({str(cut) for each in source.blocks for cut in each.excepts})
    if cuts:
        found["except"] = cuts
    if source.peers:
        found["peer"] = "; ".join(map(str, source.peers))
    return found


def open_text(exposure: Exposure) -> str:
    """`80→http, 443→8443`: Service port to target port."""
    return ", ".join(f"{port.port}→{port.target}" for port in exposure.ports) or "nothing"


def from_text(exposure: Exposure) -> str:
    """Who is let in, as short as a table's cell must be: the first ranges, and how many more there are."""
    telling = sorted(exposure.sources, key=lambda source: TELLING.index(source.kind))
    named = dict.fromkeys(text for source in telling for text in _cells(source))
    if not named:
        return NOBODY
    shown = list(named)
    more = f" +{len(shown) - CELL_BLOCKS}" if len(shown) > CELL_BLOCKS else ""
    return ",".join(shown[:CELL_BLOCKS]) + more


def _cells(source: Source) -> Iterable[str]:
    if source.kind is SourceKind.HEALTH_CHECKS:
        return ()
    return (*(str(each.cidr) for each in source.blocks), *map(_peer_cell, source.peers))


def _peer_cell(peer: Peer) -> str:
    """`shop/app=web`, `shop/*`, `*/app=web`: namespace and pods; `./` is the entry point's own namespace."""
    if peer.block is not None:
        return str(peer.block.cidr)
    pods = "*" if peer.pods is None or peer.pods.empty else str(peer.pods)
    if peer.namespaces is None:
        return f"./{pods}"
    named = dict(peer.namespaces.labels).get(NAMESPACE_LABEL) if len(peer.namespaces.labels) == 1 else None
    where = "*" if peer.namespaces.empty else str(peer.namespaces)
    return f"{named or where}/{pods}"


def _conditions(exposure: Exposure, ready: bool, message: str) -> list[dict[str, Any]]:
    if exposure.policy is None:
        held = (
            "A default-deny stands, and nothing opens this entry point."
            if exposure.default_deny
            else "No policy governs this entry point."
        )
        return [condition("Ready", exposure.default_deny, "Denied" if exposure.default_deny else "Ungoverned", held)]
    if exposure.mode != "Enforce":
        said = "Planned and reported, not written." if exposure.mode == "Audit" else "Left as it stands."
        return [condition("Programmed", False, exposure.mode, said), condition("Ready", False, exposure.mode, said)]
    if not ready:
        text = message or "Not yet written."
        return [condition("Programmed", False, "NotProgrammed", text), condition("Ready", False, "NotProgrammed", text)]
    done = condition("Programmed", True, "Programmed", "The live policies equal the plan.")
    if exposure.refusal:
        return [done, condition("Ready", False, "Refused", exposure.refusal)]
    return [done, condition("Ready", True, "Ready", "What is open is what the policy asks for.")]
