"""What the subcommands print, whole where it is short."""

import json
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run, Write

CONFIG = "network: {cni: calico}\n"
SHOP = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}, {name: dns, port: 53, targetPort: 5353, protocol: UDP}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}
---
apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: old}
spec: {type: NodePort, selector: {app: legacy}, ports: [{port: 9000, nodePort: 30900}]}
---
apiVersion: exposure.dev/v1alpha1
kind: ExposurePolicy
metadata: {name: edge, namespace: shop}
spec: {clients: {cidrs: [198.51.100.0/24], except: [198.51.100.66/32]}}
"""


TABLE = """\
NAMESPACE  NAME            TYPE          ADDRESS       OPEN                  FROM                                     POLICY  BLIND SPOTS
old        service-legacy  NodePort      <nodes>       9000→9000             everyone (IPv4)                          <none>  Ungoverned
shop       service-web     LoadBalancer  203.0.113.10  80→http, 53→5353/UDP  198.51.100.0/24 except 198.51.100.66/32  edge
"""  # noqa: E501


@pytest.fixture
def shop(write: Write) -> list[str]:
    """The options that read a shop with one governed entry point and one without a policy, under Calico."""
    return ["-f", write("shop.yaml", SHOP), "--config", write("facts.yaml", CONFIG)]


def test_the_map_as_a_table(run: Run, shop: list[str]) -> None:
    """Aligned, and no line cut off, when it is piped."""
    assert TABLE == run("map", *shop).out


def test_the_map_as_json(run: Run, shop: list[str]) -> None:
    """The shape that docs/reference/cli.md documents."""
    [_, web] = json.loads(run("map", "-o", "json", *shop).out)
    [source] = web["sources"]
    assert {
        "namespace": "shop",
        "name": "service-web",
        "owner": {"apiVersion": "v1", "kind": "Service", "name": "web"},
        "entryPoints": ["LoadBalancer"],
        "addresses": ["203.0.113.10"],
        "ports": [
            {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
            {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
        ],
        "sources": [source],
        "backends": [{"namespace": "shop", "service": "web", "selector": "app=web", "ready": 0, "total": 0}],
        "policy": {"kind": "ExposurePolicy", "namespace": "shop", "name": "edge"},
        "mode": "Enforce",
        "networkPolicies": [
            {"namespace": "shop", "name": "exposure-to-web"},
            {"namespace": "shop", "name": "exposure-default-deny"},
        ],
        "blindSpots": [],
        "profile": "metallb",
        "cni": "calico",
        "refusal": "",
        "defaultDeny": True,
    } == web
    assert ("Clients", [{"cidr": "198.51.100.0/24", "except": ["198.51.100.66/32"]}], "LoadBalancer") == (
        source["kind"],
        source["cidrs"],
        source["entryPoint"],
    )
    assert all(source[key] for key in ("row", "explanation", "reference", "ports"))


def test_a_plan_reads_like_a_sentence(run: Run, shop: list[str]) -> None:
    """One line a change, in the order in which they are made; what is lost and gained by them; and a count."""
    assert (
        "create shop/exposure-to-web        from 198.51.100.0/24 except 198.51.100.66/32 to app=web tcp/http udp/5353\n"
        "create shop/exposure-default-deny  deny all ingress to every pod\n"
        "lost    from 198.51.100.0/24 but 198.51.100.66/32 to app=web every port but udp/5353 tcp/http\n"
        "lost    from every pod in namespace shop, pods in namespace old, 198.51.100.66/32, any IPv4 address but "
        "198.51.100.0/24 to app=web every port\n"
        "lost    from every pod in namespace shop, pods in namespace old, any IPv4 address to other pods every port\n"
        "2 to create, 0 to update, 0 to delete, 0 to keep.\n"
    ) == run("plan", *shop).out


def planned(run: Run, *arguments: str) -> list[dict[str, Any]]:
    result = run("plan", "-o", "yaml", *arguments)
    assert (0, "") == (result.status, result.err)
    return list(yaml.safe_load_all(result.out))


def test_the_policies_themselves(run: Run, shop: list[str]) -> None:
    """Every NetworkPolicy of ours, by namespace and name, ready to be applied."""
    [deny, grant] = planned(run, *shop)
    assert ("exposure-default-deny", []) == (deny["metadata"]["name"], deny["spec"]["ingress"])
    assert {
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.66/32"]}}],
                "ports": [{"protocol": "TCP", "port": "http"}, {"protocol": "UDP", "port": 5353}],
            }
        ],
    } == grant["spec"]


def test_what_is_planned_is_kept_when_it_stands(run: Run, shop: list[str], write: Write) -> None:
    """The plan's own YAML, read beside the manifests, leaves nothing to write; -o yaml still shows all of it."""
    standing = ["-f", write("standing.yaml", run("plan", "-o", "yaml", *shop).out)]
    result = run("plan", *shop, *standing, "--exit-code")
    assert (0, True) == (result.status, result.out.endswith("0 to create, 0 to update, 0 to delete, 2 to keep.\n"))
    assert planned(run, *shop) == planned(run, *shop, *standing)


def test_an_update_shows_what_changes(run: Run, shop: list[str], write: Write) -> None:
    """Under its sentence, the lines of the policy that go and come."""
    before = run("plan", "-o", "yaml", *shop).out.replace("port: 5353", "port: 5300")
    result = run("plan", *shop, "-f", write("standing.yaml", before))
    changed = [line.strip() for line in result.out.splitlines() if line.lstrip().startswith(("-", "+"))]
    assert ["-      port: 5300", "+      port: 5353"] == [line for line in changed if "port" in line]


@pytest.mark.parametrize("option, status", [("--exit-code", 1), ("", 0)])
def test_the_exit_status_says_whether_anything_would_be_written(
    run: Run, shop: list[str], option: str, status: int
) -> None:
    """1 only where it was asked for."""
    assert status == run("plan", *shop, *([option] if option else [])).status


@pytest.mark.parametrize(
    "from_, to",
    [
        pytest.param("spec: {clients", "spec: {mode: Audit, clients", id="audit-in-the-policy"),
        pytest.param("spec: {clients", "spec: {mode: Paused, clients", id="paused-in-the-policy"),
        pytest.param("kind: ExposurePolicy", "kind: ExposurePolicy", id="audit-on-the-namespace"),
    ],
)
def test_what_is_not_enforced_is_not_planned_unless_asked(
    run: Run, write: Write, shop: list[str], from_: str, to: str
) -> None:
    """Audit and Paused give no policy; --as-enforced gives what Enforce would."""
    text = SHOP.replace(from_, to)
    if from_ == to:
        text += (
            "---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop, annotations: {exposure.dev/mode: Audit}}}\n"
        )
    enforced = planned(run, *shop)
    given = ["-f", write("audited.yaml", text), *shop[2:]]
    assert "--as-enforced shows what Enforce writes." in run("plan", *given).out
    assert ([], enforced) == (planned(run, *given), planned(run, *given, "--as-enforced"))


def test_a_plan_as_json(run: Run, shop: list[str]) -> None:
    """Changes with what stands before and after, and the policies as -o yaml gives them."""
    result = json.loads(run("plan", "-o", "json", *shop).out)
    verbs = [(each["verb"], each["namespace"], each["name"], each["before"]) for each in result["changes"]]
    assert [("create", "shop", "exposure-to-web", None), ("create", "shop", "exposure-default-deny", None)] == verbs
    assert planned(run, *shop) == result["networkPolicies"]


def test_a_name_conflict_is_reported(run: Run, shop: list[str], write: Write) -> None:
    """A NetworkPolicy that has a name of ours, and that the operator did not write, is never overwritten."""
    foreign = (
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: exposure-to-web, namespace: shop}, "
        "spec: {podSelector: {}}}"
    )
    given = [*shop, "-f", write("foreign.yaml", foreign)]
    assert ["exposure-default-deny"] == [each["metadata"]["name"] for each in planned(run, *given)]
    assert "skip   shop/exposure-to-web        name conflict: " in run("plan", *given).out
    result = json.loads(run("plan", "-o", "json", *given).out)
    assert [{"namespace": "shop", "name": "exposure-to-web"}] == result["nameConflicts"]


def test_an_explanation_fits_a_terminal(run: Run, write: Write) -> None:
    """Source, row, documentation, blind spot and cure, in 80 columns but for what cannot be broken."""
    cluster = SHOP.replace("externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster")
    address = "status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}"
    node = f"{{apiVersion: v1, kind: Node, metadata: {{name: n}}, {address}}}"
    files = ["-f", write("cluster.yaml", f"{cluster}---\n{node}\n"), "--config", write("facts.yaml", CONFIG)]
    result = run("explain", "shop/web", *files)
    lines = result.out.splitlines()
    assert (0, "") == (result.status, result.err)
    for words in ("Nodes  10.0.0.1/32", "Clients  198.51.100.0/24", "row: ", "see: http", "SourceFilterLost", "cure: "):
        assert words in result.out
    assert [] == [line for line in lines if len(line) > 80 and " " in line.strip().removeprefix("see: ")]


@pytest.mark.parametrize(
    "name, status, words",
    [
        pytest.param("web", 0, "shop/service-web", id="a-bare-name-that-only-one-namespace-has"),
        pytest.param("old/legacy", 0, "Ungoverned", id="an-entry-point-without-a-policy"),
        pytest.param("shop/nothing", 2, "There is no Service shop/nothing.", id="no-such-service"),
        pytest.param("nothing", 2, "There is no Service nothing.", id="no-such-name-anywhere"),
        pytest.param(
            "twin",
            2,
            "Service twin exists in several namespaces: a, b. Choose one with -n.",
            id="ambiguous",
        ),
        pytest.param("a/twin", 0, "is not behind an entry point", id="a-service-without-an-entry-point"),
    ],
)
def test_which_service_is_meant(run: Run, write: Write, name: str, status: int, words: str) -> None:
    """NAMESPACE/NAME, or a name that can mean only one."""
    twins = "".join(
        f"---\n{{apiVersion: v1, kind: Service, metadata: {{name: twin, namespace: {namespace}}}, spec: {{}}}}\n"
        for namespace in "ab"
    )
    result = run("explain", name, "-f", write("all.yaml", SHOP + twins))
    assert status == result.status
    assert words in " ".join((result.out + result.err).split())


def test_an_explanation_shows_the_policies_whole(run: Run, write: Write) -> None:
    """Peers and egress are no entry point's, but they decide who reaches the pods and whom the pods reach."""
    more = "spec: {peers: [{namespaceSelector: {matchLabels: {team: a}}}], egress: {dns: false}, clients"
    out = run("explain", "shop/web", "-f", write("peers.yaml", SHOP.replace("spec: {clients", more))).out
    assert "exposure-to-web\n       from 198.51.100.0/24 except 198.51.100.66/32 to app=web tcp/http" in out
    assert "from every pod in namespaces team=a to app=web" in " ".join(out.split())


def test_a_backend_is_explained_by_the_entry_point_that_leads_to_it(run: Run, write: Write) -> None:
    """A ClusterIP Service behind an Ingress of the same namespace has that Ingress's entry point."""
    text = (
        "{apiVersion: v1, kind: Service, metadata: {name: api}, spec: {selector: {a: b}, ports: [{port: 80}]}}\n---\n"
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: site}, spec: {defaultBackend: "
        "{service: {name: api, port: {number: 80}}}}, status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}}\n"
    )
    assert "default/ingress-site" in run("explain", "api", "-f", write("site.yaml", text)).out


def test_no_entry_point_at_all(run: Run) -> None:
    """An empty map is reported on standard error, and is no error."""
    result = run("map", "-f", "-", stdin="{apiVersion: v1, kind: Namespace, metadata: {name: a}}")
    assert (0, "") == (result.status, result.out)
    assert "There are no entry points: " in result.err


@pytest.mark.parametrize("arguments", [[], ["map"], ["plan"], ["explain"]])
def test_help_explains_itself(run: Run, arguments: list[str]) -> None:
    """--help of every subcommand ends well and shows an example."""
    result = run(*arguments, "--help")
    assert (0, "") == (result.status, result.err)
    assert "kubectl exposure map" in result.out if arguments in ([], ["map"]) else "examples:" in result.out
