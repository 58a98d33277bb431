"""An Exposure as JSON: a stable shape, documented field by field in docs/reference/cli.md.

`peers` and a source's `ports` are written as in a NetworkPolicy. Lists keep the order of the resolution, which is
sorted. A field without a value is an empty string or list, never missing, except `policy`: null where none governs.
"""

import json
from typing import Any

from exposure.model.exposures import Exposure, Source
from exposure.networkpolicy.render import peer, port
from exposure.render.exposures import exposure_lists


def json_text(document: Any) -> str:
    """ASCII only: every character that could control a terminal is escaped."""
    return json.dumps(document, indent=2) + "\n"


def exposure_json(exposure: Exposure) -> dict[str, Any]:
    owner, policy = exposure.owner, exposure.policy
    return {
        "namespace": exposure.namespace,
        "name": exposure.name,
        "owner": {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name},
        **exposure_lists(exposure),
        "sources": [_source(source) for source in exposure.sources],
        "policy": policy and {"kind": policy.kind, "namespace": policy.namespace, "name": policy.name},
        "mode": exposure.mode,
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
