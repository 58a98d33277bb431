"""`explain`: which object is meant, what is printed about it, and the same as JSON."""

import json

import pytest

from tests.cli.conftest import Result, Run, Write

SHOP = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: site, namespace: shop}
spec: {defaultBackend: {service: {name: api, port: {number: 80}}}}
status: {loadBalancer: {ingress: [{ip: 203.0.113.11}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec: {gatewayClassName: eg, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: gateway}
spec: {type: LoadBalancer, ports: [{port: 81}]}
---
apiVersion: exposure.dev/v1alpha1
kind: ExposurePolicy
metadata: {name: edge, namespace: shop}
spec: {clients: {cidrs: [198.51.100.0/24]}}
"""
AUDITED_NAMESPACE = (
    "---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop, annotations: {exposure.dev/mode: Audit}}}\n"
)


def explain(run: Run, text: str, *arguments: str) -> Result:
    return run("explain", *arguments, "-f", "-", stdin=text)


@pytest.mark.parametrize(
    "arguments, name",
    [
        pytest.param(["shop/web"], "shop/service-web", id="namespace-and-service"),
        pytest.param(["web"], "shop/service-web", id="a-service"),
        pytest.param(["service/web"], "shop/service-web", id="service"),
        pytest.param(["services/web"], "shop/service-web", id="plural"),
        pytest.param(["svc/web", "-n", "shop"], "shop/service-web", id="abbreviated"),
        pytest.param(["Service/web"], "shop/service-web", id="upper-case"),
        pytest.param(["svc/api"], "shop/ingress-site", id="a-backend-of-an-ingress"),
        pytest.param(["ingress/site"], "shop/ingress-site", id="an-ingress"),
        pytest.param(["ing/site"], "shop/ingress-site", id="an-ingress-abbreviated"),
        pytest.param(["ingress.networking.k8s.io/site"], "shop/ingress-site", id="as-kubectl-get-o-name-prints-it"),
        pytest.param(["gateway/edge"], "infra/gateway-edge", id="a-gateway-before-a-namespace-of-that-name"),
        pytest.param(["gtw/edge"], "infra/gateway-edge", id="a-gateway-abbreviated"),
        pytest.param(["service/edge", "-n", "gateway"], "gateway/service-edge", id="a-service-in-a-namespace-gateway"),
        pytest.param(["exposure/service-web"], "shop/service-web", id="an-exposure"),
        pytest.param(["exp/ingress-site"], "shop/ingress-site", id="an-exposure-abbreviated"),
        pytest.param(["-n", "shop", "web"], "shop/service-web", id="options-first"),
    ],
)
def test_the_object_that_is_meant(run: Run, arguments: list[str], name: str) -> None:
    """Objects are named as people name them to kubectl."""
    result = explain(run, SHOP, *arguments)
    assert (0, name) == (result.status, result.out.splitlines()[0]), result.err


@pytest.mark.parametrize(
    "text, message",
    [
        pytest.param(
            "pod/web-0", "pod/web-0: pod is neither a namespace nor a kind with entry points. Use ", id="a-pod"
        ),
        pytest.param("deployment.apps/web", "deployment.apps is neither a namespace nor a kind", id="a-deployment"),
        pytest.param("service.serving.knative.dev/web", "is neither a namespace nor a kind", id="another-group"),
        pytest.param("ingress/none", "There is no Ingress none.", id="no-such-ingress"),
        pytest.param("exposure/none", "There is no Exposure none.", id="no-such-exposure"),
        pytest.param("shop/none", "There is no Service shop/none.", id="no-such-service"),
        pytest.param("shop/service/web", "shop/service/web is not the name of an object. Use ", id="three-parts"),
        pytest.param("/web", "/web is not the name of an object.", id="no-prefix"),
        pytest.param("shop/", "shop/ is not the name of an object.", id="no-name"),
    ],
)
def test_what_is_no_object(run: Run, text: str, message: str) -> None:
    """A message that says what can be written."""
    result = explain(run, SHOP, text)
    assert (2, "") == (result.status, result.out)
    assert message in result.err


def test_an_ingress_of_several_namespaces(run: Run) -> None:
    """Ambiguous, until -n says which."""
    twins = SHOP + "---\n" + "---\n".join(SHOP.split("---\n")[2:3]).replace("namespace: shop", "namespace: other")
    assert (
        "Ingress site exists in several namespaces: other, shop. Choose one with -n."
        in explain(run, twins, "ingress/site").err
    )
    assert "shop/ingress-site" == explain(run, twins, "ingress/site", "-n", "shop").out.splitlines()[0]


def test_an_explanation_names_types_and_kinds(run: Run) -> None:
    """The kinds of entry points and of sources by their names, each column wide enough."""
    lines = explain(run, SHOP, "web").out.splitlines()
    assert [
        "shop/service-web",
        "  type:       LoadBalancer",
        "  address:    203.0.113.10",
        "  policy:     edge",
    ] == lines[:4]
    assert "    Clients  198.51.100.0/24 on tcp/http" in lines


def test_an_explanation_as_json(run: Run) -> None:
    """The entry points as `map -o json` gives them, with the NetworkPolicies in full."""
    [web] = json.loads(explain(run, SHOP, "web", "-o", "json").out)
    every = json.loads(run("map", "-o", "json", "-f", "-", stdin=SHOP).out)
    [of_map] = [exposure for exposure in every if exposure["name"] == "service-web"]
    assert [] == web.pop("plannedNetworkPolicies")
    assert [ref["name"] for ref in of_map["networkPolicies"]] == [
        each["metadata"]["name"] for each in web.pop("manifests")
    ]
    assert of_map == web
    assert [] == json.loads(explain(run, SHOP.replace("name: api, port", "name: gone, port"), "api", "-o", "json").out)


@pytest.mark.parametrize(
    "text, cure",
    [
        pytest.param(
            SHOP + AUDITED_NAMESPACE,
            "Remove the annotation exposure.dev/mode from namespace shop.",
            id="on-the-namespace",
        ),
        pytest.param(
            SHOP.replace("spec: {clients", "spec: {mode: Audit, clients"),
            "Set mode: Enforce in ExposurePolicy shop/edge.",
            id="in-the-policy",
        ),
        pytest.param(
            SHOP.replace("kind: ExposurePolicy", "kind: ClusterExposurePolicy").replace(
                "{name: edge, namespace: shop}\nspec: {clients: {cidrs: [198.51.100.0/24]}}",
                "{name: platform}\nspec: {defaults: {mode: Audit}}",
            ),
            "Set defaults.mode: Enforce in ClusterExposurePolicy platform.",
            id="in-a-cluster-policys-defaults",
        ),
        pytest.param(
            SHOP.replace("spec: {clients", "spec: {mode: Audit, clients") + AUDITED_NAMESPACE,
            "Remove the annotation exposure.dev/mode from namespace shop. "
            "Set mode: Enforce in ExposurePolicy shop/edge.",
            id="in-both",
        ),
    ],
)
def test_audit_is_planned_and_not_written(run: Run, text: str, cure: str) -> None:
    """What Enforce would write is shown as planned, with what ends Audit; --as-enforced shows it as written."""
    [web] = json.loads(explain(run, text, "svc/web", "-n", "shop", "-o", "json").out)
    shown = explain(run, text, "svc/web", "-n", "shop").out
    assert ("Audit", []) == (web["mode"], web["networkPolicies"])
    planned = ["exposure-default-deny", "exposure-to-web"]
    assert planned == [ref["name"] for ref in web["plannedNetworkPolicies"]]
    assert planned == [manifest["metadata"]["name"] for manifest in web["manifests"]]
    assert "NetworkPolicies\n" not in shown
    section = shown.partition("NetworkPolicies planned, not written\n")[2].partition("\n\n")[0]
    assert f"cure: {cure}" in " ".join(section.split())
    [enforced] = json.loads(explain(run, text, "svc/web", "-n", "shop", "-o", "json", "--as-enforced").out)
    assert ([], "Enforce") == (enforced["plannedNetworkPolicies"], enforced["mode"])
    assert planned == sorted(ref["name"] for ref in enforced["networkPolicies"])


@pytest.fixture
def shop(write: Write) -> list[str]:
    return ["-f", write("shop.yaml", SHOP)]


@pytest.mark.parametrize(
    "before, after",
    [
        pytest.param(["-n", "shop", "map"], ["map", "-n", "shop"], id="one-option"),
        pytest.param(
            ["-n", "shop", "-A", "map", "-o", "json"], ["map", "-n", "shop", "-A", "-o", "json"], id="several"
        ),
        pytest.param(["--namespace=shop", "-o", "json", "map"], ["map", "-o", "json", "-n", "shop"], id="output"),
        pytest.param(["-nshop", "explain", "web"], ["explain", "web", "-n", "shop"], id="with-an-argument"),
        pytest.param(["-n", "map", "plan"], ["plan", "-n", "map"], id="a-value-called-like-a-subcommand"),
    ],
)
def test_options_may_stand_before_the_subcommand(
    run: Run, shop: list[str], before: list[str], after: list[str]
) -> None:
    """As with kubectl itself."""
    assert run(*after, *shop) == run(*before, *shop)
    assert run(*after, *shop) == run(*shop, *before)


@pytest.mark.parametrize(
    "arguments, words",
    [
        pytest.param([], "the following arguments are required: SUBCOMMAND", id="nothing"),
        pytest.param(["-n", "shop"], "the following arguments are required: SUBCOMMAND", id="no-subcommand"),
        pytest.param(["-n"], "required", id="no-value"),
        pytest.param(["-n", "shop", "mpa"], "invalid choice: 'mpa'", id="no-such-subcommand"),
        pytest.param(["--dry-run", "map"], "unrecognized arguments: --dry-run", id="an-option-of-another-subcommand"),
    ],
)
def test_wrong_use_of_options(run: Run, arguments: list[str], words: str) -> None:
    """argparse's own message, and status 2."""
    result = run(*arguments)
    assert (2, True) == (result.status, words in result.err), result.err
