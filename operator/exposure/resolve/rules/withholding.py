"""Proxies that are not admitted, for the rules that admit proxies and the rules that report what is dropped."""

from exposure.resolve.delivery import Case, Delivery


def withheld_host_network_proxy(case: Case, delivery: Delivery) -> str:
    """Why the nodes of a hostNetwork proxy are not admitted; "" if they are."""
    if delivery.clients.narrow and case.denies_unenforceable:
        return f"{delivery.route}. The proxy calls with node addresses, and clients.unenforceable is Deny."
    if case.facts.cni.pod_ranges == "matched-by-identity":
        return f"{delivery.route}. The proxy calls with node addresses, which no ipBlock matches on Cilium."
    return ""


def withheld_service_lb(case: Case, delivery: Delivery) -> str:
    """Why the pods of ServiceLB are not admitted; "" if they are. They enforce only the Service's own ranges."""
    return masquerading(delivery) if delivery.hidden_by_proxy_pods and case.denies_unenforceable else ""


def masquerading(delivery: Delivery) -> str:
    assert delivery.profile.proxy_pods is not None
    return f"The pods of {delivery.profile.proxy_pods.title} masquerade, and enforce only the Service's own ranges."
