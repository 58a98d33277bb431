"""docs/reference/resources.md, made from the CRDs so that it cannot drift."""

from collections.abc import Iterator
from pathlib import Path

from tests.crds.api import Json, crd

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "resources.md"
COMMAND = "python -m tests.crds.reference"

INTRODUCTION = f"""\
<!-- Made from crds/ by `{COMMAND}`; a test compares. -->
# Resources

Group and version: `exposure.dev/v1alpha1`. `kubectl get exposure-operator -A` lists all three kinds.
`kubectl explain xp.spec.clients` shows the same texts as this page.

- **An omitted field says nothing.** The API server fills in no default. Each field says what holds if it is omitted.
  Where several policies set the isolation of one namespace, a denial that is written beats an allowance.
- **`spec` is required.** `spec: {{}}` is valid: all its fields are omitted.
- **The API server refuses invalid objects**, with a message that names the field. This needs Kubernetes 1.31 or newer.
- **Address ranges** are CIDRs without host bits: `10.0.0.0/8`, not `10.1.2.3/8`. A single address is a /32 or /128.
  IPv4 is never written inside IPv6 (`::ffff:…`).
- **Lists are bounded**, as the tables say. Where status cuts a list off, a count beside it gives the whole number.
"""

EXAMPLES = {
    "ExposurePolicy": """\
apiVersion: exposure.dev/v1alpha1
kind: ExposurePolicy
metadata: {name: edge, namespace: shop}
spec:
  services: {names: [web]}
  clients: {cidrs: [203.0.113.0/24], except: [203.0.113.66/32]}
  ports: [https]
  peers:
    - namespaceSelector: {matchLabels: {team: checkout}}
  egress:
    to:
      - to: [{podSelector: {matchLabels: {app: db}}}]
        ports: [{port: 5432}]
""",
    "ClusterExposurePolicy": """\
apiVersion: exposure.dev/v1alpha1
kind: ClusterExposurePolicy
metadata: {name: tenants}
spec:
  namespaceSelector: {matchLabels: {exposed: "yes"}}
  defaults: {mode: Enforce, clients: {cidrs: [10.0.0.0/8]}}
  limits:
    clients: {cidrs: [10.0.0.0/8, 203.0.113.0/24]}
    ports: [443]
    allowPublic: false
    allowModes: [Enforce, Audit]
""",
}


def page() -> str:
    plurals = ("exposurepolicies", "clusterexposurepolicies", "exposures")
    return "\n".join([INTRODUCTION, *map(_kind, plurals)]).rstrip() + "\n"


def _kind(plural: str) -> str:
    spec = crd(plural)["spec"]
    names, version = spec["names"], spec["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    columns = ", ".join(_column(column) for column in version["additionalPrinterColumns"])
    example = EXAMPLES.get(names["kind"])
    lines = [
        f"## {names['kind']}",
        "",
        f"{spec['scope']}, short name `{names['shortNames'][0]}`. {root['description']}",
        "",
        f"Columns: {columns} (those in brackets with `-o wide`).",
        "",
        *(["```yaml", example.rstrip(), "```", ""] if example else []),
    ]
    for part in ("spec", "status"):
        if part in root["properties"]:
            rows = [f"| `{at}` | {kind} | {text} |" for at, kind, text in _rows(root["properties"][part], part)]
            lines += [f"### {names['kind']} {part}", "", "| field | type | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _column(of: Json) -> str:
    name = of["name"].upper()
    return f"[{name}]" if of.get("priority") else name


def _rows(of: Json, at: str) -> Iterator[tuple[str, str, str]]:
    """Fields below `of`: path, type, meaning. Nothing is repeated that Kubernetes or this page describes."""
    for name, part in of.get("properties", {}).items():
        here = f"{at}.{name}"
        if here == "spec.defaults":
            yield here, "object", _cell(part) + " Its fields are those of [ExposurePolicy spec](#exposurepolicy-spec)."
            continue
        yield here, _type(part), _cell(part)
        if not _known_elsewhere(part):
            yield from _rows(part, here)
            yield from _rows(part.get("items", {}), f"{here}[]")


def _known_elsewhere(of: Json) -> bool:
    """Label selectors and conditions are Kubernetes' own."""
    fields = of.get("properties", {}).keys() | of.get("items", {}).get("properties", {}).keys()
    return "matchLabels" in fields or "lastTransitionTime" in fields


def _type(of: Json) -> str:
    if "matchLabels" in of.get("properties", {}):
        return "label selector"
    if "lastTransitionTime" in of.get("items", {}).get("properties", {}):
        return "conditions"
    if of.get("x-kubernetes-int-or-string"):
        return "number or name"
    if "items" in of:
        return f"list of {_type(of['items'])}, at most {of['maxItems']}"
    if "enum" in of:
        return ", ".join(f"`{value}`" for value in of["enum"])
    if any(rule["rule"] == "isCIDR(self)" for rule in of.get("x-kubernetes-validations", ())):
        return "CIDR"
    return str(of["type"])


def _cell(of: Json) -> str:
    text = " ".join(str(of["description"]).split())
    meaning, _, example = text.partition(" Example: ")
    shown = f" Example: `{example}`" if example else ""
    return meaning.replace("|", "\\|").replace("<none>", "`<none>`") + shown.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
