"""Invalid policies are refused by the API server itself, with a message that names the field."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.crds.api import Answer, Api, Json, Spec, schema


def refused(name: str, spec: Spec, field: str, words: str = "") -> Any:
    return pytest.param(spec, field, words, id=name)


def selector_cases(at: str, put: Any) -> list[Any]:
    """Invalid label selectors; `put` sets a selector at the field `at`."""
    requirement = {"key": "tier", "operator": "In", "values": ["a"]}
    name = at.replace("[0]", "").rsplit(".", 1)[-1] + "-of-" + at.replace("[0]", "").split(".", 1)[0]
    rows = [
        ("key-with-blank", {"matchLabels": {"a b": "c"}}, ".matchLabels", "not a label key"),
        ("key-of-64", {"matchLabels": {"k" * 64: "c"}}, ".matchLabels", "not a label key"),
        ("value-with-blank", {"matchLabels": {"a": "b c"}}, ".matchLabels.a", "should match"),
        ("value-of-64", {"matchLabels": {"a": "v" * 64}}, ".matchLabels.a", "may not be more than 63"),
        ("value-a-number", {"matchLabels": {"a": 1}}, ".matchLabels.a", "must be of type string"),
        ("33-labels", {"matchLabels": {f"k{n}": "v" for n in range(33)}}, ".matchLabels", "at most 32"),
        ("no-operator", {"matchExpressions": [{"key": "a"}]}, ".matchExpressions[0].operator", "Required value"),
        ("no-key", {"matchExpressions": [{"operator": "Exists"}]}, ".matchExpressions[0].key", "Required value"),
        (
            "operator",
            {"matchExpressions": [requirement | {"operator": "Like"}]},
            ".matchExpressions[0].operator",
            '"NotIn"',
        ),
        (
            "in-nothing",
            {"matchExpressions": [requirement | {"values": []}]},
            ".matchExpressions[0].values",
            "at least one",
        ),
        (
            "exists-with",
            {"matchExpressions": [requirement | {"operator": "Exists"}]},
            ".matchExpressions[0].values",
            "take none",
        ),
        ("bad-key", {"matchExpressions": [requirement | {"key": "-a"}]}, ".matchExpressions[0].key", "should match"),
        (
            "bad-value",
            {"matchExpressions": [requirement | {"values": ["-"]}]},
            ".matchExpressions[0].values[0]",
            "should match",
        ),
        ("17-expressions", {"matchExpressions": [requirement] * 17}, ".matchExpressions", "at most 16 items"),
        (
            "33-values",
            {"matchExpressions": [requirement | {"values": ["v"] * 33}]},
            ".matchExpressions[0].values",
            "at most 32",
        ),
    ]
    return [refused(f"{name}-{which}", put(bad), at + end, words) for which, bad, end, words in rows]


def cidr_cases(at: str, put: Any) -> list[Any]:
    """Invalid address ranges; `put` sets a range at the field `at`."""
    rows = [
        ("a-word", "office", "must be a CIDR such as"),
        ("no-prefix-length", "203.0.113.7", "must be a CIDR such as"),
        ("host-bits", "203.0.113.7/24", "has host bits set. Use the network address"),
        ("host-bits-ipv6", "2001:db8::1/32", "has host bits set. Use the network address"),
        ("prefix-of-33", "203.0.113.0/33", "must be a CIDR such as"),
        ("octet-of-256", "203.0.256.0/24", "must be a CIDR such as"),
        ("leading-zero", "010.0.0.0/8", "must be a CIDR such as"),
        ("ipv4-in-ipv6", "::ffff:203.0.113.0/120", "not inside IPv6"),
        ("a-zone", "fe80::%eth0/64", "must be a CIDR such as"),
        ("empty", "", "must be a CIDR such as"),
        ("a-number", 10, "must be of type string"),
        ("50-characters", "2001:db8::/" + "0" * 39, "may not be more than 49"),
    ]
    name = at.replace("[0]", "").replace(".", "-")
    return [refused(f"{name}-{which}", put(bad), at, words) for which, bad, words in rows]


def ranges(count: int) -> list[str]:
    return [f"10.{n // 256}.{n % 256}.0/24" for n in range(count)]


def egress(**rule: Any) -> Spec:
    return {"egress": {"to": [rule]}}


def ip_block(cidr: str, *cuts: str) -> Spec:
    return {"peers": [{"ipBlock": {"cidr": cidr, "except": list(cuts)}}]}


ISOLATION_CASES = [
    refused(f"isolation-{flag}-{bad}", {"isolation": {flag: bad}}, f"isolation.{flag}", "must be of type boolean")
    for flag, bad in [("ingress", "yes"), ("egress", 1), ("allowSameNamespace", "no")]
]

BAD_SPECS = [
    refused("mode-unknown", {"mode": "Observe"}, "mode", 'supported values: "Enforce", "Audit", "Paused"'),
    refused("mode-in-lower-case", {"mode": "audit"}, "mode", "supported values"),
    refused("mode-a-boolean", {"mode": True}, "mode", "must be of type string"),
    refused("entry-point-unknown", {"entryPoints": ["Window"]}, "entryPoints[0]", '"HostPort"'),
    refused("entry-point-twice", {"entryPoints": ["Ingress", "Ingress"]}, "entryPoints", "lists the same entry twice"),
    refused("no-entry-point", {"entryPoints": []}, "entryPoints", "Omit it for LoadBalancer, Ingress and Gateway"),
    refused("entry-points-a-string", {"entryPoints": "Ingress"}, "entryPoints", "must be of type array"),
    refused("services-empty", {"services": {}}, "services", "Omit it to select every Service"),
    refused(
        "services-both-ways",
        {"services": {"selector": {"matchLabels": {"a": "b"}}, "names": ["web"]}},
        "services",
        "either selector or names, not both",
    ),
    refused("services-a-list", {"services": ["web"]}, "services", "must be of type object"),
    refused("selector-empty", {"services": {"selector": {}}}, "services.selector", "Omit services to select every"),
    refused(
        "selector-of-no-labels",
        {"services": {"selector": {"matchLabels": {}, "matchExpressions": []}}},
        "services.selector",
        "Omit services to select every",
    ),
    refused("names-none", {"services": {"names": []}}, "services.names", "names is empty"),
    refused("name-twice", {"services": {"names": ["web", "web"]}}, "services.names", "lists the same entry twice"),
    refused("name-of-64", {"services": {"names": ["w" * 64]}}, "services.names[0]", "may not be more than 63"),
    refused("name-in-capitals", {"services": {"names": ["Web"]}}, "services.names[0]", "is not the name of a Service"),
    refused("name-with-namespace", {"services": {"names": ["shop/web"]}}, "services.names[0]", "without a namespace"),
    refused(
        "name-with-dot", {"services": {"names": ["web.shop"]}}, "services.names[0]", "is not the name of a Service"
    ),
    refused("name-pattern", {"services": {"names": ["web-*"]}}, "services.names[0]", "is not the name of a Service"),
    refused("name-empty", {"services": {"names": [""]}}, "services.names[0]", "is not the name of a Service"),
    refused("name-ends-with-dash", {"services": {"names": ["web-"]}}, "services.names[0]", "is not the name of a"),
    refused("101-names", {"services": {"names": [f"w{n}" for n in range(101)]}}, "services.names", "at most 100 items"),
    *selector_cases("services.selector", lambda bad: {"services": {"selector": bad}}),
    *ISOLATION_CASES,
    refused("isolation-a-boolean", {"isolation": True}, "isolation", "must be of type object"),
    *cidr_cases("clients.cidrs[0]", lambda bad: {"clients": {"cidrs": [bad]}}),
    *cidr_cases("clients.except[0]", lambda bad: {"clients": {"cidrs": ["0.0.0.0/0", "::/0"], "except": [bad]}}),
    refused("clients-a-list", {"clients": ["203.0.113.0/24"]}, "clients", "must be of type object"),
    refused("clients-none", {"clients": {"cidrs": []}}, "clients.cidrs", "cidrs is empty. Omit it"),
    refused("257-clients", {"clients": {"cidrs": ranges(257)}}, "clients.cidrs", "at most 256 items"),
    refused(
        "except-outside",
        {"clients": {"cidrs": ["203.0.113.0/24"], "except": ["198.51.100.1/32"]}},
        "clients.except",
        "must lie strictly inside one of clients.cidrs",
    ),
    refused(
        "except-the-whole",
        {"clients": {"cidrs": ["203.0.113.0/24"], "except": ["203.0.113.0/24"]}},
        "clients.except",
        "must lie strictly inside one of clients.cidrs",
    ),
    refused(
        "except-wider",
        {"clients": {"cidrs": ["203.0.113.0/24"], "except": ["203.0.0.0/16"]}},
        "clients.except",
        "longer prefix",
    ),
    refused(
        "except-of-the-other-family",
        {"clients": {"cidrs": ["0.0.0.0/0"], "except": ["2001:db8::/32"]}},
        "clients.except",
        "same family",
    ),
    refused(
        "one-except-of-two-outside",
        {"clients": {"cidrs": ["10.0.0.0/8", "192.0.2.0/24"], "except": ["192.0.2.1/32", "172.16.0.0/12"]}},
        "clients.except",
        "must lie strictly inside",
    ),
    refused("except-of-nothing", {"clients": {"except": ["203.0.113.66/32"]}}, "clients.except", "needs clients.cidrs"),
    refused(
        "65-excepts", {"clients": {"cidrs": ["10.0.0.0/8"], "except": ranges(65)}}, "clients.except", "at most 64 items"
    ),
    refused("unenforceable", {"clients": {"unenforceable": "Warn"}}, "clients.unenforceable", '"Allow", "Deny"'),
    refused("port-0", {"ports": [0]}, "ports[0]", "a number from 1 to 65535"),
    refused("port-65536", {"ports": [65536]}, "ports[0]", "a number from 1 to 65535"),
    refused("port-negative", {"ports": [-1]}, "ports[0]", "a number from 1 to 65535"),
    refused("port-fraction", {"ports": [80.5]}, "ports[0]", "must be of type integer"),
    refused("port-in-quotes", {"ports": ["80"]}, "ports[0]", "without quotes"),
    refused("port-range", {"ports": ["80-90"]}, "ports[0]", "is not a Service port"),
    refused("port-in-capitals", {"ports": ["HTTP"]}, "ports[0]", "is not a Service port"),
    refused("port-with-protocol", {"ports": ["80/TCP"]}, "ports[0]", "is not a Service port"),
    refused("port-name-of-64", {"ports": ["p" * 64]}, "ports[0]", "may not be more than 63"),
    refused("port-name-empty", {"ports": [""]}, "ports[0]", "is not a Service port"),
    refused("port-an-object", {"ports": [{}]}, "ports[0]", "must be of type integer,string"),
    refused("port-twice", {"ports": [443, 443]}, "ports", "lists the same entry twice"),
    refused("no-port", {"ports": []}, "ports", "Omit it to expose every port"),
    refused("101-ports", {"ports": list(range(1, 102))}, "ports", "at most 100 items"),
    refused("peer-empty", {"peers": [{}]}, "peers[0]", "selects nothing"),
    refused("peer-null", {"peers": [None]}, "peers[0]", "must be of type object"),
    refused(
        "peer-block-and-pods",
        {"peers": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]},
        "peers[0].ipBlock",
        "write two entries",
    ),
    refused(
        "peer-block-and-namespaces",
        {"peers": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "namespaceSelector": {}}]},
        "peers[0].ipBlock",
        "write two entries",
    ),
    refused("peer-block-without-cidr", {"peers": [{"ipBlock": {}}]}, "peers[0].ipBlock.cidr", "Required value"),
    refused("peer-block-except", ip_block("10.0.0.0/8", "11.0.0.0/16"), "peers[0].ipBlock.except", "inside cidr"),
    refused("peer-block-all", ip_block("10.0.0.0/8", "10.0.0.0/8"), "peers[0].ipBlock.except", "inside cidr"),
    refused("peer-block-65", ip_block("10.0.0.0/8", *ranges(65)), "peers[0].ipBlock.except", "at most 64 items"),
    refused("65-peers", {"peers": [{"podSelector": {}}] * 65}, "peers", "at most 64 items"),
    *cidr_cases("peers[0].ipBlock.cidr", ip_block),
    *cidr_cases("peers[0].ipBlock.except[0]", lambda bad: ip_block("0.0.0.0/0", bad)),
    *selector_cases("peers[0].podSelector", lambda bad: {"peers": [{"podSelector": bad}]}),
    *selector_cases("peers[0].namespaceSelector", lambda bad: {"peers": [{"namespaceSelector": bad}]}),
    refused("egress-a-boolean", {"egress": False}, "egress", "must be of type object"),
    refused("egress-dns-a-word", {"egress": {"dns": "on"}}, "egress.dns", "must be of type boolean"),
    refused("egress-api-server-a-word", {"egress": {"apiServer": "on"}}, "egress.apiServer", "must be of type boolean"),
    refused("egress-to-a-host", {"egress": {"to": ["example.com"]}}, "egress.to[0]", "must be of type object"),
    refused("egress-33-rules", {"egress": {"to": [{}] * 33}}, "egress.to", "at most 32 items"),
    refused("egress-peer-empty", egress(to=[{}]), "egress.to[0].to[0]", "selects nothing"),
    refused(
        "egress-peer-block-and-pods",
        egress(to=[{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]),
        "egress.to[0].to[0].ipBlock",
        "write two entries",
    ),
    refused("egress-33-peers", egress(to=[{"podSelector": {}}] * 33), "egress.to[0].to", "at most 32 items"),
    refused(
        "egress-block-except",
        egress(to=[{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["192.0.2.0/24"]}}]),
        "egress.to[0].to[0].ipBlock.except",
        "inside cidr",
    ),
    refused("egress-33-ports", egress(ports=[{"port": 1}] * 33), "egress.to[0].ports", "at most 32 items"),
    refused("egress-protocol", egress(ports=[{"protocol": "ICMP"}]), "egress.to[0].ports[0].protocol", '"SCTP"'),
    refused("egress-port-0", egress(ports=[{"port": 0}]), "egress.to[0].ports[0].port", "a number from 1 to 65535"),
    refused("egress-port-65536", egress(ports=[{"port": 65536}]), "egress.to[0].ports[0].port", "1 to 65535"),
    refused("egress-port-in-quotes", egress(ports=[{"port": "53"}]), "egress.to[0].ports[0].port", "without quotes"),
    refused("egress-port-name-of-16", egress(ports=[{"port": "p" * 16}]), "egress.to[0].ports[0].port", "than 15"),
    refused("egress-port-name-dashes", egress(ports=[{"port": "a--b"}]), "egress.to[0].ports[0].port", "not a port"),
    refused("egress-end-alone", egress(ports=[{"endPort": 9}]), "egress.to[0].ports[0].endPort", "a numeric port"),
    refused(
        "egress-end-of-a-name",
        egress(ports=[{"port": "http", "endPort": 9}]),
        "egress.to[0].ports[0].endPort",
        "a numeric port",
    ),
    refused(
        "egress-end-before-begin",
        egress(ports=[{"port": 9, "endPort": 8}]),
        "egress.to[0].ports[0].endPort",
        "not greater than",
    ),
    refused(
        "egress-end-65536",
        egress(ports=[{"port": 9, "endPort": 65536}]),
        "egress.to[0].ports[0].endPort",
        "less than or equal to 65535",
    ),
    *cidr_cases(
        "egress.to[0].to[0].ipBlock.except[0]",
        lambda bad: egress(to=[{"ipBlock": {"cidr": "0.0.0.0/0", "except": [bad]}}]),
    ),
    *cidr_cases("egress.to[0].to[0].ipBlock.cidr", lambda bad: egress(to=[{"ipBlock": {"cidr": bad}}])),
    *selector_cases("egress.to[0].to[0].podSelector", lambda bad: egress(to=[{"podSelector": bad}])),
    *selector_cases("egress.to[0].to[0].namespaceSelector", lambda bad: egress(to=[{"namespaceSelector": bad}])),
    refused("profile-unknown", {"loadBalancer": {"profile": "f5"}}, "loadBalancer.profile", '"auto", "aws-nlb-ip"'),
    refused("profile-empty", {"loadBalancer": {"profile": ""}}, "loadBalancer.profile", "supported values"),
    refused("load-balancer-a-string", {"loadBalancer": "metallb"}, "loadBalancer", "must be of type object"),
    refused("257-load-balancers", {"loadBalancer": {"cidrs": ranges(257)}}, "loadBalancer.cidrs", "at most 256 items"),
    refused(
        "257-health-checks",
        {"loadBalancer": {"healthCheckCIDRs": ranges(257)}},
        "loadBalancer.healthCheckCIDRs",
        "at most 256 items",
    ),
    *cidr_cases("loadBalancer.cidrs[0]", lambda bad: {"loadBalancer": {"cidrs": [bad]}}),
    *cidr_cases("loadBalancer.healthCheckCIDRs[0]", lambda bad: {"loadBalancer": {"healthCheckCIDRs": [bad]}}),
    refused("field-unknown", {"clientes": {}}, "clientes", "unknown field"),
    refused("nested-field-unknown", {"clients": {"cidr": []}}, "clients.cidr", "unknown field"),
]


def limits(**bounds: Any) -> Spec:
    return {"limits": bounds}


BAD_CLUSTER_SPECS = [
    *selector_cases("namespaceSelector", lambda bad: {"namespaceSelector": bad}),
    refused(
        "system-pattern", {"includeSystemNamespaces": ["kube-*"]}, "includeSystemNamespaces[0]", "Patterns are not"
    ),
    refused("system-of-64", {"includeSystemNamespaces": ["n" * 64]}, "includeSystemNamespaces[0]", "more than 63"),
    refused(
        "system-empty", {"includeSystemNamespaces": [""]}, "includeSystemNamespaces[0]", "not the name of a namesp"
    ),
    refused(
        "system-twice", {"includeSystemNamespaces": ["a", "a"]}, "includeSystemNamespaces", "lists the same entry twice"
    ),
    refused("system-101", {"includeSystemNamespaces": [f"n{n}" for n in range(101)]}, "includeSystemNamespaces", "100"),
    refused("system-a-string", {"includeSystemNamespaces": "kube-system"}, "includeSystemNamespaces", "type array"),
    *ISOLATION_CASES,
    refused("defaults-a-list", {"defaults": []}, "defaults", "must be of type object"),
    refused("require-a-word", {"requireExposurePolicy": "yes"}, "requireExposurePolicy", "must be of type boolean"),
    *cidr_cases("limits.clients.cidrs[0]", lambda bad: limits(clients={"cidrs": [bad]})),
    refused("limit-257-clients", limits(clients={"cidrs": ranges(257)}), "limits.clients.cidrs", "at most 256 items"),
    refused("limit-except", limits(clients={"except": ["10.0.0.0/8"]}), "limits.clients.except", "unknown field"),
    refused("limit-port-0", limits(ports=[0]), "limits.ports[0]", "greater than or equal to 1"),
    refused("limit-port-65536", limits(ports=[65536]), "limits.ports[0]", "less than or equal to 65535"),
    refused("limit-port-by-name", limits(ports=["https"]), "limits.ports[0]", "must be of type integer"),
    refused("limit-port-twice", limits(ports=[443, 443]), "limits.ports", "lists the same entry twice"),
    refused("limit-101-ports", limits(ports=list(range(1, 102))), "limits.ports", "at most 100 items"),
    refused("limit-public-a-word", limits(allowPublic="no"), "limits.allowPublic", "must be of type boolean"),
    refused("limit-mode-unknown", limits(allowModes=["Off"]), "limits.allowModes[0]", '"Enforce", "Audit", "Paused"'),
    refused(
        "limit-mode-twice", limits(allowModes=["Audit", "Audit"]), "limits.allowModes", "lists the same entry twice"
    ),
    refused("limit-no-mode", limits(allowModes=[]), "limits.allowModes", "Omit it for [Enforce]"),
    refused("limits-unknown", limits(hosts=["shop.example"]), "limits.hosts", "unknown field"),
]


@pytest.mark.parametrize("spec, field, words", BAD_SPECS)
def test_an_invalid_exposure_policy_is_refused(api: Api, spec: Spec, field: str, words: str) -> None:
    """The message names the field."""
    assert_refused(api.exposure_policy(spec), f"spec.{field}", words)


@pytest.mark.parametrize("spec, field, words", BAD_SPECS)
def test_invalid_defaults_are_refused(api: Api, spec: Spec, field: str, words: str) -> None:
    """The defaults of a ClusterExposurePolicy have the rules of an ExposurePolicy."""
    assert_refused(api.cluster_exposure_policy({"defaults": spec}), f"spec.defaults.{field}", words)


@pytest.mark.parametrize("spec, field, words", BAD_CLUSTER_SPECS)
def test_an_invalid_cluster_exposure_policy_is_refused(api: Api, spec: Spec, field: str, words: str) -> None:
    """The message names the field."""
    assert_refused(api.cluster_exposure_policy(spec), f"spec.{field}", words)


def test_a_name_too_long_for_a_label_is_refused(api: Api) -> None:
    """A policy's name becomes a label value, so 64 characters are too many."""
    assert_refused(api.exposure_policy({}, "n" * 64), "metadata.name", "must not be longer than 63 characters")
    assert_refused(api.cluster_exposure_policy({}, "n" * 64), "metadata.name", "must not be longer than 63 characters")


def test_a_missing_spec_is_refused(api: Api) -> None:
    """It is a mistake of indentation. A policy that exposes everything has `spec: {}`."""
    assert_refused(api.exposure_policy(None), "spec", "Required value")
    assert_refused(api.cluster_exposure_policy(None), "spec", "Required value")


@pytest.mark.parametrize(
    "plural, cases",
    [
        pytest.param("exposurepolicies", BAD_SPECS, id="exposure-policies"),
        pytest.param("clusterexposurepolicies", BAD_CLUSTER_SPECS, id="cluster-exposure-policies"),
    ],
)
def test_every_field_and_rule_has_an_invalid_input(plural: str, cases: list[Any]) -> None:
    """Each field of a spec and each message of a rule has an input in the tables above."""
    spec = schema(plural)["properties"]["spec"]
    spec["properties"].pop("defaults", None)  # the same schema, tried as an ExposurePolicy's
    tried = [(case.values[1], case.values[2]) for case in cases]
    fields = [at for at, _ in parts(spec) if at and not any(field.startswith(at) for field, _ in tried)]
    messages = [
        f"{at}: {rule['message']}"
        for at, part in parts(spec)
        for rule in part.get("x-kubernetes-validations", ())
        if not any(words in rule["message"] for _, words in tried)
    ]
    assert ([], []) == (fields, messages)


def parts(of: Json, at: str = "") -> Iterator[tuple[str, Json]]:
    """Every part of a schema with its field path, list items as the first of them."""
    yield at, of
    for name, part in of.get("properties", {}).items():
        yield from parts(part, f"{at}.{name}".lstrip("."))
    if "items" in of:
        yield from parts(of["items"], f"{at}[0]")


def assert_refused(answer: Answer, field: str, words: str) -> None:
    assert answer.status in (400, 422), f"accepted, or failed otherwise: {answer}"
    quoted = f'"{field}"' if "unknown field" in answer.message else f"{field}: "
    assert quoted in answer.message
    assert words in answer.message
