"""One verification: what is tried from where, the connections, and the verdicts.

It is polite: no more connections at once than asked for, one to each target, and several only where any of several pods
may answer.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from exposure.labels import pairs
from exposure.model.exposures import Exposure
from exposure.verify.context import VerificationContext
from exposure.verify.diagnosis import DiagnosisInputs, diagnosed, drift, judged
from exposure.verify.expectation import expected
from exposure.verify.pods import LABELS, TARGETS_PER_POD, Job, ProbeAnswer, ProbePods, outcome
from exposure.verify.probe import attempt, connect, own_address
from exposure.verify.targets import inside_targets, node_addresses, outside_targets
from exposure.verify.values import Check, Expected, Outcome, Place, ProbeOutcome, Target, Vantage

#: What a termination message surely holds beside the pod's addresses.
MESSAGE_BYTES = 3800
#: Pod Security `restricted` refuses hostNetwork; this namespace has such pods in every cluster.
NODE_NAMESPACE = "kube-system"
#: A running operator has written what is missing by then.
SETTLE_SECONDS = 2.0
#: What a probe pod tries again for a while if it comes out otherwise.
EXPECTED_LETTER = {"allowed": "o", "denied": "x", "unsure": ""}


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """`timeout`: seconds for one connection. `source`: the address that the cluster sees of outside, if translated."""

    places: tuple[Place, ...]
    timeout: float = 2.0
    parallel: int = 16
    repeat: int = 4
    source: str = ""
    probe_namespace: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """One target from one vantage: `times` connections, and what is expected of them."""

    vantage: Vantage
    target: Target
    times: int
    expected: Expected


@dataclass(frozen=True)
class Verification:
    """`exposures`: the entry points to verify. `pods` may be None where only `outside` is asked for.

    `read_again` reads the cluster once more, so that what the operator was about to write is not reported as drift.
    """

    context: VerificationContext
    exposures: Sequence[Exposure]
    options: VerifyOptions
    pods: ProbePods | None = None
    read_again: Callable[[], VerificationContext] | None = None

    def tries(self) -> list[Try]:
        """Everything to connect to, in order. Connects to nothing."""
        tries = []
        for place in self.options.places:
            find_targets = outside_targets if place == "outside" else inside_targets
            for target in find_targets(self.context, self.exposures):
                vantage = self.vantage(place, target)
                times = self.options.repeat if len(target.backends) > 1 and target.entry_point != "Pod" else 1
                tries.append(Try(vantage, target, times, expected(self.context, target, vantage)))
        return tries

    def run(self) -> list[Check]:
        """Connects, and judges: first the live policies of each namespace, then the connections in order of `tries`."""
        drifts = self._drifts(self.context)
        if mismatches(drifts) and self.read_again is not None:
            time.sleep(SETTLE_SECONDS)
            drifts = self._drifts(self.read_again())
        tries = self.tries()
        checks = []
        for attempted, (vantage, observed) in zip(tries, self._observe(tries), strict=True):
            expectation = attempted.expected
            if vantage != attempted.vantage:  # Its addresses are known now.
                expectation = expected(self.context, attempted.target, vantage)
            checks.append(judged(attempted.target, vantage, expectation, observed))
        held = any(check.result == "as expected" and check.expected.verdict == "denied" for check in checks)
        inputs = DiagnosisInputs(denials_held=held)
        return [*drifts, *(diagnosed(self.context, check, self._with_node_ports(check, inputs)) for check in checks)]

    def _drifts(self, context: VerificationContext) -> list[Check]:
        namespaces = {exposure.namespace for exposure in self.exposures} & context.snapshot.namespaces.keys()
        return [check for namespace in sorted(namespaces) if (check := drift(context, namespace)) is not None]

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
        preferred = self.options.probe_namespace or self.context.snapshot.config.operator_namespace
        known = self.context.snapshot.namespaces
        return next((name for name in (preferred, "default") if name != namespace and name in known), "default")

    def _observe(self, tries: Sequence[Try]) -> list[tuple[Vantage, ProbeOutcome]]:
        """What came of each try, with its vantage as it was found: a probe pod has addresses and a node."""
        observed: dict[int, tuple[Vantage, ProbeOutcome]] = {}
        outside = [index for index, attempted in enumerate(tries) if attempted.vantage.place == "outside"]
        here = [_asked(tries[index], "") for index in outside]
        for index, letters in zip(outside, connect(here, self.options.timeout, self.options.parallel), strict=True):
            vantage = tries[index].vantage
            own = next(iter(vantage.addresses), "")
            observed[index] = vantage, ProbeOutcome(tuple(map(outcome, letters)), own)
        by_vantage: dict[Vantage, list[int]] = {}
        for index, attempted in enumerate(tries):
            if attempted.vantage.place != "outside":
                by_vantage.setdefault(attempted.vantage, []).append(index)
        most = min(TARGETS_PER_POD, MESSAGE_BYTES // (self.options.repeat + 1))
        for vantage, indexes in by_vantage.items():
            for start in range(0, len(indexes), most):
                part = indexes[start : start + most]
                answer = self._ask(vantage, [tries[index] for index in part])
                there = replace(vantage, addresses=answer.addresses, node=vantage.node or answer.node)
                observed |= {index: (there, result) for index, result in zip(part, answer.observed, strict=True)}
        return [observed[index] for index in range(len(tries))]

    def _ask(self, vantage: Vantage, tries: Sequence[Try]) -> ProbeAnswer:
        assert self.pods is not None
        targets = [_asked(attempted, EXPECTED_LETTER[attempted.expected.verdict]) for attempted in tries]
        return self.pods.run(Job(vantage.namespace, targets, vantage.place == "node", vantage.node))

    def _with_node_ports(self, check: Check, inputs: DiagnosisInputs) -> DiagnosisInputs:
        """For a load balancer that does not answer: what the nodes answer at the Service's node port."""
        target = check.target
        if check.result != "mismatch" or check.expected.verdict != "allowed" or target is None or not target.node_port:
            return inputs
        if check.vantage is None or check.vantage.place != "outside" or target.entry_point == "NodePort":
            return inputs
        service = self.context.snapshot.services[target.namespace][target.service]
        port = next(port for port in service.ports if port.node_port == target.node_port)
        nodes = [ip for ip in node_addresses(self.context, service, port) if (":" in ip) == (":" in target.address)]
        answers: dict[str, Outcome] = {
            ip: outcome(attempt(ip, target.node_port, target.protocol, self.options.timeout)) for ip in nodes
        }
        return replace(inputs, node_ports=answers)


def _asked(attempted: Try, letter: str) -> tuple[str, int, str, int, str]:
    target = attempted.target
    return target.address, target.port, target.protocol, attempted.times, letter


def mismatches(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if check.result == "mismatch"]
