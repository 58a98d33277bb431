"""The steps of the demo, on the stage that it is given. Every command is run, and every outcome is checked."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.demo.calls import CUSTOMER, PARTNER, STRANGER, Admitted, Call, Expected, differences
from tests.demo.screen import Screen
from tests.demo.stage import Stage

FOLDER = "tests/demo/manifests"
PATIENCE_SECONDS = 30.0
SHOP, MEDIA, LEDGER = "shop/web", "media/images", "accounting/ledger"
#: Which clients are admitted once everything is enforced. Before that, every client is. Media needs its cure first.
AT_SHOP: Expected = {
    Call(CUSTOMER, SHOP): Admitted.ALL,
    Call(STRANGER, SHOP): Admitted.NONE,
    Call(LEDGER, SHOP): Admitted.NONE,
}
AT_MEDIA: Expected = {
    Call(PARTNER, MEDIA): Admitted.ALL,
    Call(STRANGER, MEDIA): Admitted.NONE,
    Call(SHOP, MEDIA): Admitted.ALL,
}
AT_LEDGER: Expected = {Call(SHOP, LEDGER, 5432): Admitted.NONE}
BEHIND_SNAT: Expected = {**AT_MEDIA, Call(STRANGER, MEDIA): Admitted.SOME}
TOO_STRICT: Expected = {**AT_MEDIA, Call(PARTNER, MEDIA): Admitted.SOME}


class Unexpected(Exception):
    """An answer of the cluster is not the expected one."""


@dataclass(frozen=True, slots=True)
class Show:
    """A stage and a screen: runs a command, shows its answer, and checks it."""

    stage: Stage
    screen: Screen

    def type(self, command: str, *texts: str, fails: bool = False) -> str:
        """Runs the command and shows its output; `Unexpected` where a text is missing from it."""
        ran = self.stage.run(command)
        self.screen.typed(command, ran.stdout)
        self._check(command, ran.stdout, texts)
        if (ran.returncode != 0) != fails:
            raise Unexpected(f"{command}: exit status {ran.returncode}")
        return ran.stdout

    def until(self, command: str, *texts: str, gone: Sequence[str] = ()) -> str:
        """Runs the command until its output has every expected text and none of `gone`; then shows it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            output = self.stage.run(command).stdout
            if all(text in output for text in texts) and not any(text in output for text in gone):
                self.screen.typed(command, output)
                return output
            if time.monotonic() > deadline:
                self.screen.typed(command, output)
                raise Unexpected(f"{command}: after {PATIENCE_SECONDS:.0f} s {texts} missing, or {gone} still there")
            time.sleep(0.05)

    def connections(self, title: str, expected: Expected, *, brief: bool = False) -> None:
        """Real connections, where the stage has packets; repeated until all come out as expected."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answers = self.stage.connect(list(expected))
            wrong = differences(answers, expected)
            if not wrong or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        if brief and not wrong:
            self.screen.total(title, answers)
        else:
            self.screen.answers(title, answers)
        if wrong:
            raise Unexpected(f"after {PATIENCE_SECONDS:.0f} s still: {'; '.join(wrong)}")

    def streams(self, title: str, expected: Expected) -> None:
        """What became of the streams: an allowed one is never refused, any other is refused from some moment on."""
        streams = self.stage.stop_streams()
        self.screen.streams(title, streams)
        for stream in streams:
            right = stream.passed == stream.connections
            if expected[stream.call] is Admitted.NONE:
                right = 0 < stream.passed < stream.connections and not stream.passed_late
            if not right:
                raise Unexpected(f"{stream.call.caller} to {stream.call.service}: {stream.verdict}")

    def _check(self, command: str, output: str, texts: Sequence[str]) -> None:
        for text in texts:
            if text not in output:
                raise Unexpected(f"{command}: {text!r} is not in its output")


def _all_admitted(*expected: Expected) -> Expected:
    return {call: Admitted.ALL for calls in expected for call in calls}


def install(show: Show) -> None:
    """The operator is installed."""
    show.screen.say("Install three CRDs, the operator, and exactly the rights that it uses:")
    show.type(
        "kubectl apply --server-side -k manifests/base", "clusterrole.rbac.authorization.k8s.io/exposure-operator"
    )
    show.screen.say(show.stage.install_operator())


def entry_points(show: Show) -> None:
    """A shop is deployed. No policy exists yet."""
    show.screen.say("A small shop in three namespaces: shop and media have one entry point each, accounting has none.")
    show.type(f"kubectl apply -f {FOLDER}/shop.yaml", "service/images created")
    pods = "kubectl get pods -A -l 'app in (web,images,ledger)' -o wide"
    show.until(pods, "ledger", "images", "web", gone=["Pending", "0/1"])
    services = show.until("kubectl get service -A", "media", "shop", gone=["<pending>"])
    addresses = re.findall(r"LoadBalancer +\S+ +(\S+)", services)
    show.screen.say(
        "Each entry point of the cluster has an Exposure. Ungoverned means that no policy governs it. Without "
        "policies, every pod can reach every pod, the ledger included."
    )
    show.until("kubectl get exposures -A", *addresses, "Ungoverned")
    show.connections(
        "Before: real connections, and every client is admitted", _all_admitted(AT_SHOP, AT_MEDIA, AT_LEDGER)
    )


def audit(show: Show) -> None:
    """Policies are written in mode Audit. Nothing is enforced yet."""
    show.screen.say(
        "The platform team isolates every department and sets limits. Each team names its clients, first in mode Audit."
    )
    show.type(f"cat {FOLDER}/departments.yaml")
    show.type(f"cat {FOLDER}/edge.yaml")
    show.type(f"kubectl apply -f {FOLDER}/edge.yaml", "exposurepolicy.exposure.dev/edge created")
    show.until("kubectl get xp -A", "Audit")
    show.screen.say("Audit writes no NetworkPolicy. This is what Enforce would write:")
    show.type("kubectl get netpol -A", "No resources found")
    show.type(
        "kubectl exposure plan --as-enforced", "create shop/exposure-to-web", "create media/exposure-default-deny"
    )
    show.connections("In Audit every client is still admitted", _all_admitted(AT_SHOP, AT_MEDIA, AT_LEDGER), brief=True)


def enforce(show: Show) -> None:
    """Namespaces become isolated. What admits is written before what denies, so no allowed connection is cut."""
    during: Expected = {**AT_SHOP, Call(PARTNER, MEDIA): Admitted.ALL, Call(SHOP, MEDIA): Admitted.ALL, **AT_LEDGER}
    show.stage.start_streams(list(during))
    show.type('kubectl patch xp edge -n shop --type merge -p \'{"spec":{"mode":"Enforce"}}\'', "patched")
    show.type('kubectl patch xp edge -n media --type merge -p \'{"spec":{"mode":"Enforce"}}\'', "patched")
    show.type(f"kubectl apply -f {FOLDER}/departments.yaml", "departments created")
    show.type("kubectl wait --for=condition=Ready xp --all -A --timeout=30s", "condition met")
    show.type("kubectl wait --for=condition=Ready cxp --all --timeout=30s", "condition met")
    show.until("kubectl get netpol -A", "exposure-to-web", "exposure-to-images", "accounting")
    show.until("kubectl get exposures -A", "203.0.113.0/24", "edge", gone=["Ungoverned"])
    # Not repeated until right: these connections show whatever went wrong on the way, for however short a time.
    show.streams("During: connections all the time, while the policies were written", during)
    show.connections(
        "After: only allowed clients are admitted, with one exception", {**AT_SHOP, **BEHIND_SNAT, **AT_LEDGER}
    )
    show.screen.say("Namespace accounting has no entry point, and is isolated too. Each NetworkPolicy explains itself:")
    show.type(
        "kubectl get netpol -n shop "
        "-o custom-columns='NAME:.metadata.name,EXPLANATION:.metadata.annotations.exposure\\.dev/explanation'",
        "exposure-to-web",
    )


def lost_source_filter(show: Show) -> None:
    """What a NetworkPolicy cannot hold is reported, with its cure."""
    show.screen.say(
        "Service media/images has externalTrafficPolicy: Cluster. A node that forwards to another node replaces the "
        "client's address with its own. So the NetworkPolicy must admit the nodes' addresses, and with them every "
        "client that is forwarded, the stranger too. The Exposure reports this, with its cure:"
    )
    show.until(
        "kubectl get exposure service-images -n media "
        '-o jsonpath=\'{range .status.blindSpots[*]}{.reason}: {.message}{"\\n"}cure: {.cure}{"\\n"}{end}\'',
        "SourceFilterLost",
        "cure: Set externalTrafficPolicy: Local",
    )
    show.screen.say("A stricter policy does not help. It refuses the clients that nodes forward:")
    show.type(
        'kubectl patch xp edge -n media --type merge -p \'{"spec":{"clients":{"unenforceable":"Deny"}}}\'', "patched"
    )
    show.until("kubectl get exposures -n media", "CrossNodeTrafficDropped", gone=["SourceFilterLost"])
    show.connections("Strict: the stranger is kept out, and so are some connections of the partner", TOO_STRICT)
    show.screen.say(
        "No NetworkPolicy can distinguish clients behind a node's address. The cure is one field of the Service:"
    )
    show.type(
        'kubectl patch service images -n media --type merge -p \'{"spec":{"externalTrafficPolicy":"Local"}}\'',
        "patched",
    )
    show.until("kubectl get exposures -A", "service-images", gone=["CrossNodeTrafficDropped"])
    show.connections(
        "Cured: the partner is admitted, the stranger is not, and the pods see the client's address", AT_MEDIA
    )


def follow(show: Show) -> None:
    """NetworkPolicies follow Services as they change."""
    show.screen.say("The shop gets a second port. Its NetworkPolicy follows:")
    show.type(
        "kubectl patch service web -n shop --type json -p "
        '\'[{"op":"add","path":"/spec/ports/-","value":{"name":"https","port":443,"targetPort":8443}}]\'',
        "patched",
    )
    show.until("kubectl get exposures -n shop", "443→8443")
    show.type("kubectl get netpol exposure-to-web -n shop -o jsonpath='{.spec.ingress}'", "8443")
    second = {Call(call.caller, SHOP, 443): admitted for call, admitted in AT_SHOP.items()}
    show.connections("The second port admits the same clients", second)


def drift(show: Show) -> None:
    """A change that others make to a NetworkPolicy of the operator is put back."""
    show.screen.say("Someone deletes the default deny of accounting, and opens the shop's NetworkPolicy to everyone:")
    show.type("kubectl delete netpol exposure-default-deny -n accounting", "deleted")
    show.type('kubectl patch netpol exposure-to-web -n shop --type merge -p \'{"spec":{"ingress":[{}]}}\'', "patched")
    began = time.monotonic()
    show.until("kubectl get netpol -n accounting", "exposure-default-deny")
    show.until("kubectl get netpol exposure-to-web -n shop -o jsonpath='{.spec.ingress}'", "203.0.113.0/24")
    show.screen.note(f"both are back after {time.monotonic() - began:.1f} s, most of which is kubectl")
    show.until("kubectl get events -A --field-selector reason=DriftPutBack", "DriftPutBack")


def limits(show: Show) -> None:
    """A tenant cannot open more than the platform team allows."""
    show.screen.say(
        "A policy of accounting tries to admit every IPv4 address. The limit holds, and the status names the field:"
    )
    show.type(f"kubectl apply -f {FOLDER}/too-wide.yaml", "created")
    show.until(
        "kubectl get xp open-up -n accounting "
        "-o jsonpath='{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{\"\\n\"}{end}'",
        "Accepted=False",
    )
    show.type("kubectl delete xp open-up -n accounting", "deleted")


def audit_by_annotation(show: Show) -> None:
    """One annotation removes the NetworkPolicies of a namespace, the default deny first."""
    show.screen.say("In an emergency, one annotation removes the operator's NetworkPolicies within a second:")
    show.type("kubectl annotate namespace shop exposure.dev/mode=Audit", "annotated")
    show.until("kubectl get netpol -n shop", "No resources found")
    show.connections("Released: the shop is open again, accounting is not", {**_all_admitted(AT_SHOP), **AT_LEDGER})
    show.screen.say("Without the annotation, the namespace is isolated again:")
    show.type("kubectl annotate namespace shop exposure.dev/mode-", "annotated")
    show.until("kubectl get netpol -n shop", "exposure-to-web", "exposure-default-deny")
    show.connections("Isolated again", AT_SHOP)


def delete(show: Show) -> None:
    """With a Service go its NetworkPolicy and its Exposure."""
    show.screen.say(
        "The shop's Service is deleted. Its NetworkPolicy and its Exposure go with it. The default deny stays:"
    )
    show.type("kubectl delete service web -n shop", "deleted")
    show.until("kubectl get netpol,exposures -n shop", "exposure-default-deny", gone=["exposure-to-web", "service-web"])
    show.until("kubectl get exposures -A", "service-images", gone=["service-web"])


STEPS: tuple[tuple[str, Callable[[Show], None]], ...] = (
    ("Install", install),
    ("Two entry points, and no policy", entry_points),
    ("Audit: read the plan first", audit),
    ("Enforce", enforce),
    ("What SNAT hides, and the cure", lost_source_filter),
    ("A Service changes", follow),
    ("Someone changes a NetworkPolicy by hand", drift),
    ("Limits", limits),
    ("The way out: one annotation", audit_by_annotation),
    ("A Service is deleted", delete),
)


def play(stage: Stage, screen: Screen) -> None:
    """Every step; `Unexpected` at the first answer that is not the expected one."""
    show = Show(stage, screen)
    for number, (title, step) in enumerate(STEPS, 1):
        screen.chapter(f"{number}. {title}")
        step(show)
