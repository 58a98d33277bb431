"""The demo, step by step, on any stage. Every command is really run, and every outcome is checked."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.demo.calls import CUSTOMER, PARTNER, STRANGER, Call, Expected, LetIn, unlike
from tests.demo.screen import Screen
from tests.demo.stage import Stage

FOLDER = "tests/demo/manifests"
PATIENCE_SECONDS = 30.0
SHOP, MEDIA, LEDGER = "shop/web", "media/images", "accounting/ledger"
#: Who is let in once every policy is enforced. Before that, everyone is. Media is right only with its cure.
AT_SHOP: Expected = {
    Call(CUSTOMER, SHOP): LetIn.ALL,
    Call(STRANGER, SHOP): LetIn.NONE,
    Call(LEDGER, SHOP): LetIn.NONE,
}
AT_MEDIA: Expected = {
    Call(PARTNER, MEDIA): LetIn.ALL,
    Call(STRANGER, MEDIA): LetIn.NONE,
    Call(SHOP, MEDIA): LetIn.ALL,
}
AT_LEDGER: Expected = {Call(SHOP, LEDGER, 5432): LetIn.NONE}
BEHIND_SNAT: Expected = {**AT_MEDIA, Call(STRANGER, MEDIA): LetIn.SOME}
TOO_STRICT: Expected = {**AT_MEDIA, Call(PARTNER, MEDIA): LetIn.SOME}


class Unexpected(Exception):
    """The cluster did not answer as expected."""


@dataclass(frozen=True, slots=True)
class Show:
    """A stage and a screen: type a command, and see that the answer is the one that was promised."""

    stage: Stage
    screen: Screen

    def type(self, command: str, *promised: str, fails: bool = False) -> str:
        """Runs and shows it; `Unexpected` where the answer holds not all that was promised."""
        ran = self.stage.run(command)
        self.screen.typed(command, ran.stdout)
        self._check(command, ran.stdout, promised)
        if (ran.returncode != 0) != fails:
            raise Unexpected(f"{command}: exit status {ran.returncode}")
        return ran.stdout

    def until(self, command: str, *promised: str, gone: Sequence[str] = ()) -> str:
        """Asks until the answer holds everything promised and nothing that should be gone, and shows that answer."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            output = self.stage.run(command).stdout
            if all(each in output for each in promised) and not any(each in output for each in gone):
                self.screen.typed(command, output)
                return output
            if time.monotonic() > deadline:
                self.screen.typed(command, output)
                raise Unexpected(f"{command}: after {PATIENCE_SECONDS:.0f} s still not {promised}, or still {gone}")
            time.sleep(0.05)

    def requests(self, title: str, expected: Expected, *, brief: bool = False) -> None:
        """Real connections where the stage has packets, asked again until all come out as expected."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answers = self.stage.ask(list(expected))
            wrong = unlike(answers, expected)
            if not wrong or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        if brief and not wrong:
            self.screen.total(title, answers)
        else:
            self.screen.answers(title, answers)
        if wrong:
            raise Unexpected(f"after {PATIENCE_SECONDS:.0f} s still: {'; '.join(wrong)}")

    def asked(self, title: str, expected: Expected) -> None:
        """What came of those who asked all the time, who must not be cut off, or must be once and for all."""
        streams = self.stage.asked()
        self.screen.streams(title, streams)
        for each in streams:
            right = each.passed == each.connections
            if expected[each.call] is LetIn.NONE:
                right = 0 < each.passed < each.connections and not each.passed_late
            if not right:
                raise Unexpected(f"{each.call.caller} to {each.call.service}: {each.verdict}")

    def _check(self, command: str, output: str, promised: Sequence[str]) -> None:
        for each in promised:
            if each not in output:
                raise Unexpected(f"{command}: {each!r} is not in its answer")


def _everybody(*expected: Expected) -> Expected:
    return {call: LetIn.ALL for each in expected for call in each}


def install(show: Show) -> None:
    """The operator is installed."""
    show.screen.say("Install three CRDs, the operator, and exactly the rights that it uses:")
    show.type(
        "kubectl apply --server-side -k manifests/base", "clusterrole.rbac.authorization.k8s.io/exposure-operator"
    )
    show.screen.say(show.stage.install_operator())


def entry_points(show: Show) -> None:
    """A shop opens, and no policy governs it yet."""
    show.screen.say("A small shop has three namespaces. Two have an entry point, and accounting has none.")
    show.type(f"kubectl apply -f {FOLDER}/shop.yaml", "service/images created")
    pods = "kubectl get pods -A -l 'app in (web,images,ledger)' -o wide"
    show.until(pods, "ledger", "images", "web", gone=["Pending", "0/1"])
    services = show.until("kubectl get service -A", "media", "shop", gone=["<pending>"])
    addresses = re.findall(r"LoadBalancer +\S+ +(\S+)", services)
    show.screen.say(
        "Each entry point of the cluster has an Exposure. Ungoverned means that no policy governs it. Every pod "
        "can reach every other pod, the ledger included."
    )
    show.until("kubectl get exposures -A", *addresses, "Ungoverned")
    show.requests("Before: everyone is let in", _everybody(AT_SHOP, AT_MEDIA, AT_LEDGER))


def audit(show: Show) -> None:
    """Policies are created in mode Audit, which cuts nothing."""
    show.screen.say(
        "The platform team isolates every namespace and sets limits. The teams choose their clients. First Audit:"
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
    show.requests("In Audit, everyone is let in", _everybody(AT_SHOP, AT_MEDIA, AT_LEDGER), brief=True)


def enforce(show: Show) -> None:
    """The namespaces are isolated. Policies that admit come before denials, so no admitted client is cut off."""
    during: Expected = {**AT_SHOP, Call(PARTNER, MEDIA): LetIn.ALL, Call(SHOP, MEDIA): LetIn.ALL, **AT_LEDGER}
    show.stage.keep_asking(list(during))
    show.type('kubectl patch xp edge -n shop --type merge -p \'{"spec":{"mode":"Enforce"}}\'', "patched")
    show.type('kubectl patch xp edge -n media --type merge -p \'{"spec":{"mode":"Enforce"}}\'', "patched")
    show.type(f"kubectl apply -f {FOLDER}/departments.yaml", "departments created")
    show.type("kubectl wait --for=condition=Ready xp --all -A --timeout=30s", "condition met")
    show.type("kubectl wait --for=condition=Ready cxp --all --timeout=30s", "condition met")
    show.until("kubectl get netpol -A", "exposure-to-web", "exposure-to-images", "accounting")
    show.until("kubectl get exposures -A", "203.0.113.0/24", "edge", gone=["Ungoverned"])
    # These connections are not repeated until they are right: they show every mistake on the way, however short.
    show.asked("During: connections all the time, while the default denies were written", during)
    show.requests("After: all as intended, with one exception", {**AT_SHOP, **BEHIND_SNAT, **AT_LEDGER})
    show.screen.say(
        "Accounting has no entry point, and is isolated too. An annotation on each NetworkPolicy explains it:"
    )
    show.type(
        "kubectl get netpol -n shop "
        "-o custom-columns='NAME:.metadata.name,SAYS:.metadata.annotations.exposure\\.dev/explanation'",
        "exposure-to-web",
    )


def truth(show: Show) -> None:
    """What no NetworkPolicy can enforce is reported, with its cure."""
    show.screen.say(
        "The Service in media has externalTrafficPolicy: Cluster. A node that forwards to another node replaces the "
        "client's address with its own. So the policy must admit the nodes, and with them every client that they "
        "forward. The Exposure reports this:"
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
    show.requests("Strict: the stranger is refused, and so is the partner at times", TOO_STRICT)
    show.screen.say("No policy can distinguish them. The cure is one field of the Service:")
    show.type(
        'kubectl patch service images -n media --type merge -p \'{"spec":{"externalTrafficPolicy":"Local"}}\'',
        "patched",
    )
    show.until("kubectl get exposures -A", "service-images", gone=["CrossNodeTrafficDropped"])
    show.requests("Cured: the partner is let in, the stranger is refused, and pods see the client's address", AT_MEDIA)


def follow(show: Show) -> None:
    """Policies follow Services as they change."""
    show.screen.say("The shop gets a second port, and the policy follows:")
    show.type(
        "kubectl patch service web -n shop --type json -p "
        '\'[{"op":"add","path":"/spec/ports/-","value":{"name":"https","port":443,"targetPort":8443}}]\'',
        "patched",
    )
    show.until("kubectl get exposures -n shop", "443→8443")
    show.type("kubectl get netpol exposure-to-web -n shop -o jsonpath='{.spec.ingress}'", "8443")
    second = {Call(each.caller, SHOP, 443): let_in for each, let_in in AT_SHOP.items()}
    show.requests("The second port", second)


def drift(show: Show) -> None:
    """Changes by others to the operator's NetworkPolicies are reverted."""
    show.screen.say("A user deletes the default deny of accounting, and opens the shop by hand.")
    show.type("kubectl delete netpol exposure-default-deny -n accounting", "deleted")
    show.type('kubectl patch netpol exposure-to-web -n shop --type merge -p \'{"spec":{"ingress":[{}]}}\'', "patched")
    began = time.monotonic()
    show.until("kubectl get netpol -n accounting", "exposure-default-deny")
    show.until("kubectl get netpol exposure-to-web -n shop -o jsonpath='{.spec.ingress}'", "203.0.113.0/24")
    show.screen.note(f"reverted within {time.monotonic() - began:.1f} s, most of which is kubectl")
    show.until("kubectl get events -A --field-selector reason=DriftPutBack", "DriftPutBack")


def limits(show: Show) -> None:
    """A tenant cannot open more than the limits of the platform team."""
    show.screen.say("Accounting tries to admit everyone. The policy is not accepted, and the status names the field:")
    show.type(f"kubectl apply -f {FOLDER}/too-wide.yaml", "created")
    show.until(
        "kubectl get xp open-up -n accounting "
        "-o jsonpath='{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{\"\\n\"}{end}'",
        "Accepted=False",
    )
    show.type("kubectl delete xp open-up -n accounting", "deleted")


def way_out(show: Show) -> None:
    """One annotation removes everything in a namespace, denials first."""
    show.screen.say("In an emergency, one annotation removes the operator's NetworkPolicies within a second:")
    show.type("kubectl annotate namespace shop exposure.dev/mode=Audit", "annotated")
    show.until("kubectl get netpol -n shop", "No resources found")
    show.requests("Released: only the shop is open as before", {**_everybody(AT_SHOP), **AT_LEDGER})
    show.screen.say("And back:")
    show.type("kubectl annotate namespace shop exposure.dev/mode-", "annotated")
    show.until("kubectl get netpol -n shop", "exposure-to-web", "exposure-default-deny")
    show.requests("Closed again", AT_SHOP)


def delete(show: Show) -> None:
    """A deleted Service takes its NetworkPolicy with it."""
    show.screen.say("The Service of the shop is deleted. So are its policy and its Exposure. The default deny stays:")
    show.type("kubectl delete service web -n shop", "deleted")
    show.until("kubectl get netpol,exposures -n shop", "exposure-default-deny", gone=["exposure-to-web", "service-web"])
    show.until("kubectl get exposures -A", "service-images", gone=["service-web"])


STEPS: tuple[tuple[str, Callable[[Show], None]], ...] = (
    ("Install", install),
    ("Two entry points without a policy", entry_points),
    ("Audit: read the plan first", audit),
    ("Enforce", enforce),
    ("What SNAT hides, and the cure", truth),
    ("A Service changes", follow),
    ("Changes by hand", drift),
    ("Limits", limits),
    ("The way out", way_out),
    ("A Service is deleted", delete),
)


def tell(stage: Stage, screen: Screen) -> None:
    """All of it; `Unexpected` at the first answer that is not as promised."""
    show = Show(stage, screen)
    for number, (title, step) in enumerate(STEPS, 1):
        screen.chapter(f"{number}. {title}")
        step(show)
