"""An Exposure as JSON: a stable shape, documented field by field in docs/reference/cli.md.

`peers` and a source's `ports` are written as in a NetworkPolicy. Lists keep the order of the resolution, which is
sorted. A field without a value is an empty string or list, never missing, except `policy`: null where none governs.
"""

import json
from typing import Any

from exposure.addresses import Block
from exposure.model.exposures import Exposure, PolicyRef, Source
from exposure.model.objects import Ref
from exposure.networkpolicy.render import peer, port


def json_text(document: Any) -> str:
    """ASCII only: every character that could control a terminal is escaped."""
    return json.dumps(document, indent=2) + "\n"


def exposure_json(exposure: Exposure) -> dict[str, Any]:
    return {
        "namespace": exposure.namespace,
        "name": exposure.name,
        "owner": {"apiVersion": exposure.owner.api_version, "kind": exposure.owner.kind, "name": exposure.owner.name},
        "entryPoints": list(exposure.entry_points),
        "addresses": list(exposure.addresses),
        "ports": [
            {"name": port.name, "port": port.port, "targetPort": port.target, "protocol": port.protocol}
            for port in exposure.ports
        ],
        "sources": [source_json(source) for source in exposure.sources],
        "backends": [
            {
                "namespace": backend.service.namespace,
                "service": backend.service.name,
                "selector": backend.selector,
                "ready": backend.ready,
                "total": backend.total,
            }
            for backend in exposure.backends
        ],
        "policy": _policy(exposure.policy),
        "mode": exposure.mode,
        "networkPolicies": [ref_json(ref) for ref in exposure.network_policies],
        "blindSpots": [
            {
                "reason": blind_spot.reason,
                "effect": blind_spot.effect,
                "message": blind_spot.message,
                "cure": blind_spot.cure,
            }
            for blind_spot in exposure.blind_spots
        ],
        "profile": exposure.profile,
        "cni": exposure.cni,
        "refusal": exposure.refusal,
        "defaultDeny": exposure.default_deny,
    }


def source_json(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "entryPoint": source.entry_point,
        "cidrs": [_block(block) for block in source.blocks],
        "peers": [peer(named) for named in source.peers],
        "ports": [port(of_pods) for of_pods in source.ports],
        "row": source.row.id,
        "explanation": source.explanation,
        "reference": source.reference,
    }


def ref_json(ref: Ref) -> dict[str, str]:
    return {"namespace": ref.namespace, "name": ref.name}


def _block(block: Block) -> dict[str, Any]:
    return {"cidr": str(block.cidr), "except": [str(cut) for cut in block.excepts]}


def _policy(policy: PolicyRef | None) -> dict[str, str] | None:
    return policy if policy is None else {"kind": policy.kind, "namespace": policy.namespace, "name": policy.name}
