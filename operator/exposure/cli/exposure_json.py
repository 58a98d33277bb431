"""An exposure as JSON: a stable shape, documented field by field in docs/reference/cli.md.

`peers` and a source's `ports` are written as in a NetworkPolicy. Lists keep the order of the resolution, which is
sorted; a field without a value is an empty string or list, never missing, except `policy`: null where none governs.
"""

from typing import Any

from exposure.addresses import Block
from exposure.model.exposures import Exposure, PolicyRef, Source
from exposure.model.objects import Ref
from exposure.networkpolicy.render import peer, port


def exposure_json(exposure: Exposure) -> dict[str, Any]:
    return {
        "namespace": exposure.namespace,
        "name": exposure.name,
        "owner": {"apiVersion": exposure.owner.api_version, "kind": exposure.owner.kind, "name": exposure.owner.name},
        "entryPoints": list(exposure.entry_points),
        "addresses": list(exposure.addresses),
        "ports": [
            {"name": each.name, "port": each.port, "targetPort": each.target, "protocol": each.protocol}
            for each in exposure.ports
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
        "defaultDeny": exposure.default_deny,
    }


def source_json(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "entryPoint": source.entry_point,
        "cidrs": [_block(each) for each in source.blocks],
        "peers": [peer(each) for each in source.peers],
        "ports": [port(each) for each in source.ports],
        "row": source.row.id,
        "explanation": source.explanation,
        "reference": source.reference,
    }


def _block(block: Block) -> dict[str, Any]:
    return {"cidr": str(block.cidr), "except": [str(cut) for cut in block.excepts]}


def _ref(ref: Ref) -> dict[str, str]:
    return {"namespace": ref.namespace, "name": ref.name}


def _policy(policy: PolicyRef | None) -> dict[str, str] | None:
    return policy if policy is None else {"kind": policy.kind, "namespace": policy.namespace, "name": policy.name}
