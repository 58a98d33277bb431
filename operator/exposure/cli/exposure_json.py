"""An Exposure as JSON: a stable shape, documented field by field in docs/reference/cli.md.

`peers` and a source's `ports` are written as in a NetworkPolicy. Lists keep the order of the resolution, which is
sorted. A field without a value is an empty string or list, never missing, except `policy`: null where none governs.
"""

import json
from typing import Any

from exposure.model.exposures import Exposure, Source
from exposure.model.objects import Ref
from exposure.networkpolicy.render import peer, port


def json_text(document: Any) -> str:
    """ASCII only: every character that could control a terminal is escaped."""
    return json.dumps(document, indent=2) + "\n"


def exposure_json(exposure: Exposure) -> dict[str, Any]:
    policy = exposure.policy
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
        "sources": [_source(source) for source in exposure.sources],
        "backends": [
            {"namespace": backend.service.namespace, "service": backend.service.name}
            | {"selector": backend.selector, "ready": backend.ready, "total": backend.total}
            for backend in exposure.backends
        ],
        "policy": policy and {"kind": policy.kind, "namespace": policy.namespace, "name": policy.name},
        "mode": exposure.mode,
        "networkPolicies": [ref_json(ref) for ref in exposure.network_policies],
        "blindSpots": [
            {"reason": spot.reason, "effect": spot.effect, "message": spot.message, "cure": spot.cure}
            for spot in exposure.blind_spots
        ],
        "profile": exposure.profile,
        "cni": exposure.cni,
        "refusal": exposure.refusal,
        "defaultDeny": exposure.default_deny,
    }


def _source(source: Source) -> dict[str, Any]:
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


def ref_json(ref: Ref) -> dict[str, str]:
    return {"namespace": ref.namespace, "name": ref.name}
