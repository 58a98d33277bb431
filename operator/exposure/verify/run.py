"""One verification: what will be tried from where, the trying, and the verdicts.

Polite: no more connections at once than asked for, one to each target, a few only where it matters which pod answers.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from exposure.labels import pairs
from exposure.model.exposures import Exposure
from exposure.verify.context import VerificationContext
from exposure.verify.diagnosis import Around, diagnosed, drift, judged
from exposure.verify.expectation import expected
from exposure.verify.pods import LABELS, TARGETS_PER_POD, Answer, Job, ProbePods, outcome
from exposure.verify.probe import attempt, connect, own_address
from exposure.verify.targets import inside_targets, node_addresses, outside_targets
from exposure.verify.values import Check, Expected, Outcome, Place, Seen, Target, Vantage

#: What a termination message surely holds beside the pod's addresses.
MESSAGE_BYTES = 3800
#: hostNetwork is refused by Pod Security `restricted`; this namespace has such pods in every cluster.
NODE_NAMESPACE = "kube-system"
#: An operator that lives has put a difference right by then.
SETTLE_SECONDS = 2.0
WANTED = {"allowed": "o", "denied": "x", "unsure": ""}


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout` in seconds for one connection; `source`: what the cluster sees of outside, where that is translated."""

    places: tuple[Place, ...]
    timeout: float = 2.0
    parallel: int = 16
    repeat: int = 4
    source: str = ""
    probe_namespace: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """One target from one vantage: `times` connections, and what must come of them."""

    vantage: Vantage
    target: Target
    times: int
    expected: Expected


@dataclass(frozen=True)
class Verification:
    """`exposures`: the entry points that are asked about; `pods` may be None where only `outside` is asked for.

    `again` reads the cluster once more: an operator that was about to write must not be taken for drift.
    """

    context: VerificationContext
    exposures: Sequence[Exposure]
    options: Options
    pods: ProbePods | None = None
    again: Callable[[], VerificationContext] | None = None

    def tries(self) -> list[Try]:
        """Everything that would be connected to, in order; nothing is connected to."""
        found: list[Try] = []
        for place in self.options.places:
            targets = self._outside() if place == "outside" else inside_targets(self.context, self.exposures)
            for target in targets:
                vantage = self.vantage(place, target)
                times = self.options.repeat if len(target.backends) > 1 and target.entry_point != "Pod" else 1
                found.append(Try(vantage, target, times, expected(self.context, target, vantage)))
        return found

    def run(self) -> list[Check]:
        """Connects, and judges: first what was compared, then what was tried, in the order of `tries`."""
        checks = self._drifts(self.context)
        if mismatches(checks) and self.again is not None:
            time.sleep(SETTLE_SECONDS)
            checks = self._drifts(self.again())
        tries = self.tries()
        seen = self._seen(tries)
        tried = [judged(e.target, seen[n][0], self._again(e, seen[n][0]), seen[n][1]) for n, e in enumerate(tries)]
        held = any(each.result == "as expected" and each.expected.verdict == "denied" for each in tried)
        around = Around(denials_held=held)
        return [*checks, *(diagnosed(self.context, each, self._past(each, around)) for each in tried)]

    def _drifts(self, context: VerificationContext) -> list[Check]:
        known = [name for name in self._namespaces() if name in context.resolutions]
        return [found for name in known if (found := drift(context, name)) is not None]

    def vantage(self, place: Place, target: Target) -> Vantage:
        match place:
            case "outside":
                own = self.options.source or own_address(target.address)
                return Vantage("outside", (own,) if own else ())
            case "node":
                return Vantage("node", namespace=NODE_NAMESPACE, node=self.options.node)
            case "same-namespace":
                return Vantage(place, namespace=target.namespace, labels=pairs(LABELS))
            case _:
                return Vantage(place, namespace=self._other(target.namespace), labels=pairs(LABELS))

    def _other(self, namespace: str) -> str:
        """A namespace that is not the target's own."""
        asked = self.options.probe_namespace or self.context.snapshot.config.operator_namespace
        known = self.context.snapshot.namespaces
        return next((n for n in (asked, "default") if n != namespace and n in known), "default")

    def _outside(self) -> list[Target]:
        return outside_targets(self.context, self.exposures)

    def _namespaces(self) -> list[str]:
        return sorted({each.namespace for each in self.exposures})

    def _seen(self, tries: Sequence[Try]) -> list[tuple[Vantage, Seen]]:
        found: dict[int, tuple[Vantage, Seen]] = {}
        here = [n for n, each in enumerate(tries) if each.vantage.place == "outside"]
        asked = [(e.target.address, e.target.port, e.target.protocol, e.times, "") for e in (tries[n] for n in here)]
        said = connect(asked, self.options.timeout, self.options.parallel)
        for n, letters in zip(here, said, strict=True):
            own = next(iter(tries[n].vantage.addresses), "")
            found[n] = tries[n].vantage, Seen(tuple(map(outcome, letters)), own)
        groups: dict[Vantage, list[int]] = {}
        for n, each in enumerate(tries):
            if each.vantage.place != "outside":
                groups.setdefault(each.vantage, []).append(n)
        for vantage, numbers in groups.items():
            for part in _parts(numbers, min(TARGETS_PER_POD, MESSAGE_BYTES // (self.options.repeat + 1))):
                answer = self._ask(vantage, [tries[n] for n in part])
                there = replace(vantage, addresses=answer.addresses, node=vantage.node or answer.node)
                found |= {n: (there, seen) for n, seen in zip(part, answer.seen, strict=True)}
        return [found[n] for n in range(len(tries))]

    def _ask(self, vantage: Vantage, tries: Sequence[Try]) -> Answer:
        assert self.pods is not None
        asked = [
            (e.target.address, e.target.port, e.target.protocol, e.times, WANTED[e.expected.verdict]) for e in tries
        ]
        return self.pods.run(Job(vantage.namespace, asked, vantage.place == "node", vantage.node))

    def _again(self, each: Try, vantage: Vantage) -> Expected:
        """The expectation, now that the addresses are known that the connections were made from."""
        return each.expected if vantage == each.vantage else expected(self.context, each.target, vantage)

    def _past(self, check: Check, around: Around) -> Around:
        """For a load balancer that does not answer: what the nodes say when they are called past it."""
        target = check.target
        if check.result != "mismatch" or check.expected.verdict != "allowed" or target is None or not target.node_port:
            return around
        if check.vantage is None or check.vantage.place != "outside" or target.entry_point == "NodePort":
            return around
        service = self.context.snapshot.services[target.namespace][target.service]
        port = next(each for each in service.ports if each.node_port == target.node_port)
        wanted = [ip for ip in node_addresses(self.context, service, port) if (":" in ip) == (":" in target.address)]
        answers: dict[str, Outcome] = {
            ip: outcome(attempt(ip, target.node_port, target.protocol, self.options.timeout)) for ip in wanted
        }
        return replace(around, node_ports=answers)


def _parts(numbers: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), most):
        yield numbers[start : start + most]


def mismatches(checks: Iterable[Check]) -> list[Check]:
    return [each for each in checks if each.result == "mismatch"]
