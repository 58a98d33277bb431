"""Webhooks in namespaces without an entry point, and so without an Exposure to report them."""

from exposure.model.snapshot import Snapshot
from exposure.parse.intent import cluster_exposure_policy
from exposure.parse.objects import namespace, service, webhook
from exposure.resolve import cluster_facts, resolve


def test_a_webhook_without_an_entry_point_is_reported_by_the_policy() -> None:
    """Isolating cert-manager cuts its webhook off. The status of the policy reports it."""
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
