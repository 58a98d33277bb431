"""Webhooks in namespaces that have no door, which no Exposure could tell of."""

from exposure.parse.objects import namespace, service, webhook
from exposure.parse.policies import cluster_exposure_policy
from exposure.resolve import resolve, survey
from exposure.values.world import World


def test_a_webhook_without_any_door_is_told_of_by_the_policies() -> None:
    """Isolating cert-manager cuts its webhook off, and no door of the namespace could say so."""
    called = {"namespace": "cert-manager", "name": "webhook"}
    world = World(
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

    (outcome,) = resolve(world, survey(world), "cert-manager").outcomes

    assert "ValidatingWebhookConfiguration cert-manager calls Service cert-manager/webhook at port 443" in outcome.note
