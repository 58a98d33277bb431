"""Where the schemas come from: the CRDs, as they are installed, and the schema of the configuration file."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from exposure.catalog.cnis import CNI_NAMES
from exposure.catalog.providers import PROVIDER_NAMES
from exposure.validation.schema import Schema

PLURALS = {"ExposurePolicy": "exposurepolicies", "ClusterExposurePolicy": "clusterexposurepolicies"}
#: libyaml reads a CRD in 5 ms, Python alone in 50 ms. Not every PyYAML has it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def policy_schema(kind: str) -> Schema:
    # crds/ here is a link to the repository's folder, and a folder in the package that is built.
    path = files("exposure.validation") / "crds" / f"exposure.dev_{PLURALS[kind]}.yaml"
    crd = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


@cache
def configuration_schema() -> Schema:
    """The schema of the component configuration. Its CIDRs are those of an ExposurePolicy."""
    clients = policy_schema("ExposurePolicy")["properties"]["spec"]["properties"]["clients"]
    cidrs = {"type": "array", "items": clients["properties"]["cidrs"]["items"]}
    text, flag = {"type": "string", "minLength": 1}, {"type": "boolean"}
    pattern_rule = {
        "rule": "self.size() > 0",
        "message": "is empty. Use the name of a namespace, or a pattern such as kube-*",
    }
    image_rule = {
        "rule": "!has(self.enabled) || !self.enabled || has(self.image)",
        "message": "is missing: the pods of the canary need an image. Use the operator's own",
        "fieldPath": ".image",
    }
    network = {
        "provider": {"type": "string", "enum": PROVIDER_NAMES},
        "cni": {"type": "string", "enum": CNI_NAMES},
        "podCIDRs": cidrs,
        "nodeCIDRs": cidrs,
        "nodeAddressLimit": {"type": "integer", "minimum": 1},
        "loadBalancerCIDRs": cidrs,
        "cloudDNS": flag,
    }
    patterns = {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [pattern_rule]}}
    canary = {
        "enabled": flag,
        "image": text,
        # A round of the canary creates four pods, one after the other.
        "intervalSeconds": {"type": "integer", "minimum": 30},
        "namespace": text,
    }
    sections = {
        "network": {"type": "object", "properties": network},
        "systemNamespaces": patterns,
        "canary": {"type": "object", "properties": canary, "x-kubernetes-validations": [image_rule]},
    }
    return {"type": "object", "properties": sections}
