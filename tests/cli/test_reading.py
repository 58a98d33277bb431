"""What is read, what is passed over, and what is refused with file, line and field."""

import json

import pytest

from tests.cli.conftest import REPOSITORY, Run, Write

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""
POLICY = """\
apiVersion: exposure.dev/v1alpha1
kind: ExposurePolicy
metadata: {name: edge, namespace: shop}
spec: {}
"""


def entry_points(run: Run, *arguments: str, stdin: str = "") -> list[str]:
    """namespace/name of every entry point that `map` finds."""
    result = run("map", "-o", "json", *arguments, stdin=stdin)
    assert result.status == 0, result.err
    return [f"{each['namespace']}/{each['name']}" for each in json.loads(result.out)]


def test_a_file(run: Run, write: Write) -> None:
    """One file, one entry point."""
    assert ["shop/service-web"] == entry_points(run, "-f", write("web.yaml", SERVICE))


def test_a_folder_is_read_whole(run: Run, write: Write) -> None:
    """*.yaml, *.yml and *.json, however deep; other files are left alone."""
    write("all/a.yaml", SERVICE)
    write("all/b/c.yml", SERVICE.replace("name: web", "name: api"))
    write(
        "all/b/d.json",
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "j"},
                "spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30001}]},
            }
        ),
    )
    write("all/readme.md", "# kind: Service {{")
    assert ["default/service-j", "shop/service-api", "shop/service-web"] == entry_points(run, "-f", "all")


def test_standard_input_and_several_files(run: Run, write: Write) -> None:
    """`-f` may be repeated, and `-` is standard input."""
    name = write("web.yaml", SERVICE)
    piped = SERVICE.replace("name: web", "name: api")
    assert ["shop/service-api", "shop/service-web"] == entry_points(run, "-f", name, "-f", "-", stdin=piped)


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(
            {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service"}]}, id="list"
        ),
        pytest.param({"apiVersion": "v1", "kind": "ServiceList", "items": [{}]}, id="typed-list"),
    ],
)
def test_a_list_is_its_items(run: Run, whole: dict[str, list[dict[str, object]]]) -> None:
    """What `kubectl get -o json` prints can be piped in."""
    whole["items"][0] |= {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "LoadBalancer"}}
    assert ["shop/service-web"] == entry_points(run, "-f", "-", stdin=json.dumps(whole))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n", id="another-kind"),
        pytest.param("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\n", id="another-group"),
        pytest.param("enum:\n- =\n- '!='\nkind: Matcher\n", id="a-bare-equals-sign-as-in-published-crds"),
        pytest.param("kind: Thing\nwhen: 2024-02-30T25:00:00Z\n", id="a-date-that-is-none"),
        pytest.param("", id="an-empty-document"),
        pytest.param("# only a comment\n", id="a-comment"),
    ],
)
def test_other_kinds_are_passed_over(run: Run, other: str) -> None:
    """Unknown kinds, whatever they hold, are no error and no warning."""
    result = run("map", "-f", "-", "-o", "json", stdin=f"{SERVICE}---\n{other}")
    assert (0, 1, "") == (result.status, len(json.loads(result.out)), result.err)


def test_a_bare_object_lies_in_the_namespace_that_is_named(run: Run) -> None:
    """-n, else `default`; what names a namespace keeps it."""
    bare = SERVICE.replace(", namespace: shop", "")
    assert ["default/service-web"] == entry_points(run, "-f", "-", stdin=bare)
    assert ["team/service-web"] == entry_points(run, "-f", "-", "-n", "team", stdin=bare)


def test_only_the_namespace_that_is_named_is_reported(run: Run) -> None:
    """-n narrows what is reported, not what is read; -A reports everything again."""
    both = f"{SERVICE}---\n{SERVICE.replace('shop', 'other')}"
    assert ["shop/service-web"] == entry_points(run, "-f", "-", "-n", "shop", stdin=both)
    assert ["other/service-web", "shop/service-web"] == entry_points(run, "-f", "-", "-n", "shop", "-A", stdin=both)


def test_of_two_the_last_one_counts(run: Run, write: Write) -> None:
    """As with kubectl apply. A warning names the line of the second one."""
    name = write("two.yaml", f"{SERVICE}---\n{SERVICE.replace('port: 80,', 'port: 81,')}")
    result = run("map", "-f", name)
    assert "81→8080" in result.out
    assert (
        "kubectl exposure: two.yaml:6: Service shop/web is defined again. This definition replaces the earlier one.\n"
        == result.err
    )


def test_the_same_object_twice_is_no_warning(run: Run) -> None:
    """Every file of a folder may carry its own copy of the Namespace."""
    assert "" == run("map", "-f", "-", stdin=f"{SERVICE}---\n{SERVICE}").err


def test_dates_stay_text(run: Run) -> None:
    """The older policy governs, also where its date was written without quotes, which YAML reads as a date."""
    stamped = [
        POLICY.replace("name: edge", f"name: {name}, creationTimestamp: {when}")
        for name, when in (("a-newer", "2025-01-01T00:00:00Z"), ("b-older", "2024-01-01T00:00:00Z"))
    ]
    [entry_point] = json.loads(run("map", "-o", "json", "-f", "-", stdin="---\n".join([SERVICE, *stamped])).out)
    assert "b-older" == entry_point["policy"]["name"]


POLICY_WITH = "apiVersion: exposure.dev/v1alpha1\nkind: ExposurePolicy\nmetadata: {name: edge}\nspec:\n"


@pytest.mark.parametrize(
    "text, line, words",
    [
        pytest.param("a: 1\nb: [\n", 3, "did not find expected node content. Correct this", id="no-yaml"),
        pytest.param("kind: a\n---\n- 1\n", 3, "document: is not an object", id="no-object"),
        pytest.param(
            "{'kind': 'Service'", 2, "is not YAML: while parsing a flow mapping, did not", id="half-an-object"
        ),
        pytest.param(
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
            1,
            "contains aliases that expand to too many objects",
            id="a-billion-laughs",
        ),
        pytest.param("a: &a [*a]\n", 1, "contains aliases that expand to too many objects", id="an-alias-to-itself"),
        pytest.param(POLICY_WITH + "  a: " + "[" * 990 + "]" * 990, 5, "spec.a: is an unknown field", id="very-deep"),
        pytest.param("a: " + "[" * 200_000 + "]" * 200_000, 1, "is nested too deeply", id="abysmal"),
        pytest.param('{"a": ' * 100_000 + "1" + "}" * 100_000, 1, "is nested too deeply", id="abysmal-json"),
        pytest.param("- " * 100_000 + "a", 1, "is nested too deeply", id="abysmal-in-blocks"),
        pytest.param("kind: Service\nmetadata: {name: a}\n", 1, "apiVersion: is missing. Use v1", id="no-version"),
        pytest.param(
            "apiVersion: v1\nkind: Service\nmetadata:\n  labels: {}\n", 3, "metadata.name: is missing", id="no-name"
        ),
        pytest.param(
            POLICY_WITH + "  clients:\n    cidrs:\n    - 10.0.0.0/8\n    - 10.0.0.1\n",
            8,
            "ExposurePolicy edge: spec.clients.cidrs[1]: must be a CIDR",
            id="no-cidr",
        ),
        pytest.param(
            POLICY_WITH + "  client: {}\n", 5, "spec.client: is an unknown field. Known fields: mode", id="a-typo"
        ),
        pytest.param(POLICY_WITH + "  mode: On\n", 5, "spec.mode: is a boolean", id="a-mode-that-yaml-takes-for-true"),
        pytest.param(
            POLICY_WITH + "  entryPoints: [Window]\n",
            5,
            "spec.entryPoints[0]: 'Window' is not supported",
            id="no-entry-point",
        ),
        pytest.param(
            POLICY_WITH + "  services:\n    names: [a]\n    selector: {matchLabels: {a: b}}\n",
            5,
            "spec.services: services has both selector and names",
            id="two-ways-to-name-services",
        ),
        pytest.param(
            POLICY_WITH + "  clients:\n    cidrs: [10.0.0.0/8]\n    except: [11.0.0.0/9]\n",
            7,
            "spec.clients.except: except must lie strictly inside",
            id="an-except-outside",
        ),
        pytest.param(
            POLICY_WITH + "  ports: [80]\n  ports: [443]\n",
            5,
            "spec.ports: is set twice, the second time in line 6",
            id="twice",
        ),
        pytest.param(
            POLICY_WITH.replace("v1alpha1", "v1") + "  {}\n",
            1,
            "apiVersion: exposure.dev/v1 is not served",
            id="version",
        ),
        pytest.param(
            "apiVersion: v1\nkind: List\nitems:\n- kind: Thing\n- apiVersion: exposure.dev/v1alpha1\n"
            "  kind: ExposurePolicy\n  metadata: {name: a}\n  spec:\n    ports:\n    - 0\n",
            10,
            "spec.ports[0]: is not a Service port",
            id="inside-a-list",
        ),
    ],
)
def test_what_cannot_be_read_is_named(run: Run, write: Write, text: str, line: int, words: str) -> None:
    """Exit status 2, nothing on standard output, and file:line with the field and what is wrong with it."""
    result = run("plan", "-f", write("bad.yaml", text))
    assert (2, "") == (result.status, result.out)
    assert f"kubectl exposure: bad.yaml:{line}: " in result.err
    assert words in result.err


@pytest.mark.parametrize(
    "text, line, words",
    [
        pytest.param("a: b: c\n", 1, "mapping values are not allowed in this context", id="a-second-colon"),
        pytest.param("a:\n  b: 1\n\tc: 2\n", 3, "found a tab character that violates indentation", id="a-tab"),
        pytest.param("a: %x\n", 1, "found character that cannot start any token", id="a-reserved-character"),
        pytest.param("a: 1\nb\nc: 2\n", 3, "could not find expected ':'", id="no-colon"),
        pytest.param("a:\n    b: 1\n  c: 2\n", 3, "did not find expected key", id="indentation"),
        pytest.param("- a\nb: 1\n", 2, "did not find expected '-' indicator", id="indentation-of-a-list"),
        pytest.param('a: "x\n', 2, "scanning a quoted scalar, found unexpected end", id="a-quotation-mark"),
        pytest.param("a: *x\n", 1, "found undefined alias", id="an-alias"),
        pytest.param("a: &x 1\nb: &x 2\n", 2, "found duplicate anchor", id="an-anchor-twice"),
        pytest.param("a: !Ref x\n", 1, "constructor for the tag '!Ref'", id="a-tag"),
        pytest.param(
            "a: {{ .Values.a }}\n", 1, "Render templates first, for example with helm template.", id="a-template"
        ),
        pytest.param('a: "\\q"\n', 1, "found unknown escape character", id="an-escape"),
        pytest.param(
            '{"a":\n"\\ud800"}', 2, "found invalid Unicode character escape code", id="half-a-character-in-json"
        ),
        pytest.param("%YAML 3.0\n---\na: 1\n", 1, "found incompatible YAML document", id="a-newer-yaml"),
        pytest.param("a: 1\nb: \x01\n", 2, "contains the control character U+0001", id="a-control-character"),
        pytest.param(f"a: {'1' * 5000}\n", 0, "a number with thousands of digits", id="a-huge-number"),
        pytest.param(f'{{"a": {"1" * 5000}}}', 0, "a number with thousands of digits", id="a-huge-number-in-json"),
        pytest.param("a: !!bool x\n", 0, "does not fit its YAML tag", id="no-boolean"),
        pytest.param("a: !!timestamp x\n", 0, "does not fit its YAML tag", id="no-date"),
        pytest.param("a: !!int ''\n", 0, "does not fit its YAML tag", id="no-number"),
    ],
)
def test_what_is_no_yaml(run: Run, write: Write, text: str, line: int, words: str) -> None:
    """The line, what is wrong, in the words that kubectl has for it, and what to do."""
    result = run("map", "-f", write("bad.yaml", text))
    assert (2, "") == (result.status, result.out)
    assert result.err.startswith(f"kubectl exposure: bad.yaml:{line}: " if line else "kubectl exposure: bad.yaml: ")
    assert words in result.err


OURS = "Its kinds: ExposurePolicy, ClusterExposurePolicy, Exposure"


@pytest.mark.parametrize(
    "text, line, words",
    [
        pytest.param(
            POLICY.replace("kind: ExposurePolicy", "kind: ExposurePolcy"),
            2,
            "'ExposurePolcy' is not a kind",
            id="misspelt",
        ),
        pytest.param(POLICY.replace("kind: ExposurePolicy", "kind: exposurepolicy"), 2, OURS, id="lower-case"),
        pytest.param(
            POLICY.replace("kind: ExposurePolicy\n", ""),
            1,
            ": object edge: kind: '' is not a kind of exposure.dev",
            id="no-kind",
        ),
        pytest.param(
            POLICY.replace("/v1alpha1", ""),
            1,
            "exposure.dev is not served. Use exposure.dev/v1alpha1",
            id="no-version",
        ),
        pytest.param(
            POLICY.replace("apiVersion: exposure.dev/v1alpha1\n", ""), 1, "apiVersion: is missing", id="no-api-version"
        ),
        pytest.param(
            "apiVersion: exposure.dev/v1alpha1\nkind: ExposurePolcyList\nitems:\n- metadata: {name: a}\n",
            4,
            "ExposurePolcy a: kind: 'ExposurePolcy' is not a kind",
            id="items-of-a-list",
        ),
    ],
)
def test_an_unknown_kind_of_ours_is_an_error(run: Run, write: Write, text: str, line: int, words: str) -> None:
    """It was meant for the operator, and would be missing from the plan without a word."""
    result = run("plan", "--exit-code", "-f", write("bad.yaml", text))
    assert (2, "") == (result.status, result.out)
    assert f"bad.yaml:{line}: " in result.err
    assert words in result.err


def test_exposures_are_passed_over(run: Run) -> None:
    """The operator writes them; in a file they are no input, and no mistake."""
    exposure = "{apiVersion: exposure.dev/v1alpha1, kind: Exposure, metadata: {name: service-web, namespace: shop}}\n"
    assert ["shop/service-web"] == entry_points(run, "-f", "-", stdin=f"{SERVICE}---\n{exposure}")


def test_a_version_that_is_not_read(run: Run, write: Write) -> None:
    """Of another group's kind: a warning, because it may be newer than this command."""
    name = write("route.yaml", "{apiVersion: gateway.networking.k8s.io/v9, kind: HTTPRoute, metadata: {name: a}}")
    result = run("map", "-f", name)
    assert (0, True) == (
        result.status,
        "route.yaml:1: gateway.networking.k8s.io/v9 HTTPRoute is ignored" in result.err,
    )
    assert "Use gateway.networking.k8s.io/v1." in result.err


def test_json_too_is_refused_with_its_line(run: Run, write: Write) -> None:
    """The line of the field, although JSON readers keep none."""
    body = {
        "apiVersion": "exposure.dev/v1alpha1",
        "kind": "ExposurePolicy",
        "metadata": {"name": "a"},
        "spec": {"ports": [0]},
    }
    result = run("plan", "-f", write("bad.json", json.dumps(body, indent=1)))
    assert (2, True) == (
        result.status,
        result.err.startswith("kubectl exposure: bad.json:9: ExposurePolicy a: spec.ports[0]"),
    )


def test_every_refusal_is_reported_at_once(run: Run, write: Write) -> None:
    """Mistakes are not reported one by one; of a hundred, the first twenty."""
    bad = "\n---\n".join(POLICY_WITH + f"  bad{number}: 1" for number in range(100))
    lines = run("plan", "-f", write("bad.yaml", bad)).err.splitlines()
    assert (21, "kubectl exposure: and 80 more") == (len(lines), lines[-1])


@pytest.mark.parametrize(
    "arguments, words",
    [
        pytest.param(["-f", "nowhere.yaml"], "nowhere.yaml: No such file", id="no-such-file"),
        pytest.param(["-f", "."], "this folder has no .yaml, .yml, .json file", id="an-empty-folder"),
        pytest.param(["-f", "-", "--context", "prod"], "-f reads manifests, not a cluster", id="files-and-a-cluster"),
        pytest.param(
            ["-f", "-", "-n", "nowhere"],
            "Namespace nowhere is not in the files. Namespaces: ",
            id="no-such-namespace",
        ),
        pytest.param([], "there is no cluster to read", id="no-cluster"),
        pytest.param(["-o", "xml"], "invalid choice", id="no-such-output"),
    ],
)
def test_wrong_use(run: Run, arguments: list[str], words: str) -> None:
    """Exit status 2 and a message, never a traceback."""
    result = run("map", *arguments, stdin=SERVICE)
    assert (2, "") == (result.status, result.out)
    assert words in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "text, words",
    [
        pytest.param(
            "network: {cni: weave}\n", "facts.yaml:1: network.cni: 'weave' is not supported", id="no-such-cni"
        ),
        pytest.param("network:\n  podCIDRs:\n  - 10.0.0.1/8\n", "facts.yaml:3: network.podCIDRs[0]", id="host-bits"),
        pytest.param("networks: {}\n", "facts.yaml:1: networks: is an unknown field", id="unknown-field"),
        pytest.param(
            "a: 1\n---\nb: 2\n", "facts.yaml:3: a configuration file contains one document", id="two-documents"
        ),
    ],
)
def test_a_configuration_that_cannot_be_meant(run: Run, write: Write, text: str, words: str) -> None:
    """Facts about the cluster are held to the same standard."""
    result = run("map", "-f", "-", "--config", write("facts.yaml", text), stdin=SERVICE)
    assert (2, "") == (result.status, result.out)
    assert words in result.err


def test_the_configuration_counts(run: Run, write: Write) -> None:
    """The CNI of --config is the one that counts."""
    config = write("facts.yaml", "network: {cni: calico}\n")
    [entry_point] = json.loads(
        run("map", "-o", "json", "-f", "-", "--config", config, stdin=f"{SERVICE}---\n{POLICY}").out
    )
    assert "calico" == entry_point["cni"]


def test_the_examples_can_be_planned(run: Run) -> None:
    """Every example is read offline as it stands."""
    result = run("plan", "-f", str(REPOSITORY / "examples"))
    assert (0, "") == (result.status, result.err)
