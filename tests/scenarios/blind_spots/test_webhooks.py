"""Webhooks in namespaces that have no entry point, which no Exposure could tell of."""

from exposure.model.snapshot import Snapshot
from exposure.parse.intent import cluster_exposure_policy
from exposure.parse.objects import namespace, service, webhook
from exposure.resolve import cluster_facts, resolve


def test_a_webhook_without_any_entry_point_is_told_of_by_the_policies() -> None:
    """Isolating cert-manager cuts its webhook off, and no entry point of the namespace could say so."""
    called = {"namespace": "cert-manager", "name": "webhook"}
    snapshot = Snapshot(
        namespaces={"cert-manager": namespace({"metadata": {"name": "cert-manager"}})},
        services={
            "cert-manager": {
                "webhook": service(
                    {
                        "metadata": called,
                        "spec": {"selector": {"app": "webhook"}, "ports": [{"port": 443, "targetPort": 10250}]},
                    }
                )
            }
        },
        cluster_exposure_policies={
            "platform": cluster_exposure_policy({"metadata": {"name": "platform"}, "spec": {}}),
        },
        validating_webhooks={
            "cert-manager": webhook(
                {
                    "kind": "ValidatingWebhookConfiguration",
                    "metadata": {"name": "cert-manager"},
                    "webhooks": [{"clientConfig": {"service": called}}],
                }
            )
        },
    )

    (outcome,) = resolve(snapshot, cluster_facts(snapshot), "cert-manager").outcomes

    assert "ValidatingWebhookConfiguration cert-manager calls Service cert-manager/webhook at port 443" in outcome.note
