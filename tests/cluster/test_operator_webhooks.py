"""Admission webhooks behind a default deny, reported on a real API server."""

from typing import Any

from tests.cluster.api import exposure_policy, service
from tests.cluster.operated import Operated, operated
from tests.cluster.operator_process import eventually

__all__ = ["operated"]

PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def test_an_unreachable_webhook_is_reported_until_a_policy_admits_it(operated: Operated) -> None:
    """The Exposure reports the blind spot while no policy admits the API server to the webhook, as its cure says."""
    where = operated.new_namespace()
    ranges: dict[str, Any] = {"loadBalancerSourceRanges": ["198.51.100.0/24"], "externalTrafficPolicy": "Local"}
    operated.api.create(service(where, "web", **ranges))
    operated.api.create(service(where, "hook", type="ClusterIP", port=443))
    operated.api.create(exposure_policy(where))
    operated.until_ready(where)

    def blind_spots() -> set[str]:
        status = operated.exposures(where).get("service-web", {})
        return {blind_spot["reason"] for blind_spot in status.get("blindSpots", ())}

    assert "WebhookUnreachable" not in blind_spots()
    hook = {
        "name": "validate.example.org",
        "clientConfig": {"service": {"namespace": where, "name": "hook"}},
        "rules": [
            {"apiGroups": ["example.org"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["none"]}
        ],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    operated.api.call("POST", PATH, {**body, "metadata": {"name": where}, "webhooks": [hook]})
    eventually(lambda: "WebhookUnreachable" in blind_spots(), 10, "the webhook is reported", operated.more(where))

    cure = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": where, "name": "api-server-to-hook"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "hook"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"protocol": "TCP", "port": 8080}]}],
        },
    }
    operated.api.create(cure)
    eventually(lambda: "WebhookUnreachable" not in blind_spots(), 10, "the webhook is admitted", operated.more(where))

    operated.api.delete("NetworkPolicy", where, "api-server-to-hook")
    eventually(lambda: "WebhookUnreachable" in blind_spots(), 10, "the webhook is cut off again", operated.more(where))
    operated.api.call("DELETE", f"{PATH}/{where}")
    eventually(lambda: "WebhookUnreachable" not in blind_spots(), 10, "the webhook is gone", operated.more(where))
