"""An exposure as JSON: a stable shape, documented field by field in docs/reference/cli.md.

Lists keep the order of the resolution, which is sorted; a field without a value is an empty string or list, never
missing, except `policy`, which is null where no policy governs.
"""

from typing import Any

from exposure.values.addresses import Block
from exposure.values.exposures import Exposure, PolicyRef, Source
from exposure.values.labels import LabelSelector
from exposure.values.network_policy import Peer, PolicyPort
from exposure.values.objects import Ref


def exposure_json(exposure: Exposure) -> dict[str, Any]:
    return {
        "namespace": exposure.namespace,
        "name": exposure.name,
        "owner": {"apiVersion": exposure.owner.api_version, "kind": exposure.owner.kind, "name": exposure.owner.name},
        "doors": list(exposure.doors),
        "addresses": list(exposure.addresses),
        "ports": [
            {"name": port.name, "port": port.port, "targetPort": port.target, "protocol": port.protocol}
            for port in exposure.ports
        ],
        "sources": [source_json(each) for each in exposure.sources],
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
        "policy": _policy(exposure.policy),
        "mode": exposure.mode,
        "networkPolicies": [_ref(each) for each in exposure.network_policies],
        "blindSpots": [
            {"reason": each.reason, "effect": each.effect, "message": each.message, "cure": each.cure}
            for each in exposure.blind_spots
        ],
        "profile": exposure.profile,
        "cni": exposure.cni,
        "refusal": exposure.refusal,
        "openTo": exposure.open_to or "",
    }


def source_json(source: Source) -> dict[str, Any]:
    return {
        "letter": source.letter,
        "door": source.door,
        "cidrs": [_block(each) for each in source.blocks],
        "peers": [peer_json(each) for each in source.peers],
        "ports": [port_json(each) for each in source.ports],
        "row": source.row,
        "explanation": source.explanation,
        "reference": source.reference,
    }


def peer_json(peer: Peer) -> dict[str, Any]:
    """A NetworkPolicyPeer as the API writes it."""
    written: dict[str, Any] = {}
    if peer.block is not None:
        written["ipBlock"] = _block(peer.block)
    if peer.pods is not None:
        written["podSelector"] = selector_json(peer.pods)
    if peer.namespaces is not None:
        written["namespaceSelector"] = selector_json(peer.namespaces)
    return written


def selector_json(selector: LabelSelector) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if selector.labels:
        written["matchLabels"] = dict(selector.labels)
    if selector.requirements:
        written["matchExpressions"] = [
            {"key": each.key, "operator": each.operator, **({"values": list(each.values)} if each.values else {})}
            for each in selector.requirements
        ]
    return written


def port_json(port: PolicyPort) -> dict[str, Any]:
    """A NetworkPolicyPort as the API writes it."""
    written: dict[str, Any] = {"protocol": port.protocol}
    if port.port is not None:
        written["port"] = port.port
    if port.end_port is not None:
        written["endPort"] = port.end_port
    return written


def _block(block: Block) -> dict[str, Any]:
    return {"cidr": str(block.cidr), "except": [str(cut) for cut in block.excepts]}


def _ref(ref: Ref) -> dict[str, str]:
    return {"namespace": ref.namespace, "name": ref.name}


def _policy(policy: PolicyRef | None) -> dict[str, str] | None:
    return policy if policy is None else {"kind": policy.kind, "namespace": policy.namespace, "name": policy.name}
