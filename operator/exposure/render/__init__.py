"""Values into API objects: NetworkPolicies, Exposures, status of policies. Pure; times are given by the caller."""

from exposure.networkpolicy.render import network_policy_manifest
from exposure.render.exposures import exposure_manifest, from_text, open_text
from exposure.render.status import condition, conditions, policy_status

__all__ = [
    "condition",
    "conditions",
    "exposure_manifest",
    "from_text",
    "network_policy_manifest",
    "open_text",
    "policy_status",
]
