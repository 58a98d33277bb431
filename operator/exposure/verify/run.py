"""One verification: what is tried from where, the connections, and the verdicts.

It is polite: no more connections at once than asked for, one to each target, and several only where any of several pods
may answer.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from exposure.grouping import grouped
from exposure.labels import pairs
from exposure.model.exposures import Exposure
from exposure.verify.context import VerificationContext
from exposure.verify.diagnosis import diagnosed, drift, judged
from exposure.verify.expectation import Connection
from exposure.verify.pods import LABELS, OUTCOMES, TARGETS_PER_POD, Job, ProbePods, outcome
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
class Try:
    """One target from one vantage: `times` connections, and what is expected of them."""

    vantage: Vantage
    target: Target
    times: int
    expected: Expected

    @property
    def asked(self) -> tuple[str, int, str, int, str]:
        """As `probe.connect` takes it."""
        letter = EXPECTED_LETTER[self.expected.verdict]
        return self.target.address, self.target.port, self.target.protocol, self.times, letter


@dataclass(frozen=True)
class Verification:
    """`exposures`: the entry points to verify, from `places`.

    `timeout`: seconds for one connection. `source`: the address that the cluster sees of outside, if translated.
    """

    context: VerificationContext
    exposures: Sequence[Exposure]
    places: Sequence[Place]
    timeout: float
    parallel: int
    repeat: int
    source: str
    probe_namespace: str
    node: str

    def tries(self) -> list[Try]:
        """Everything to connect to, in order. Connects to nothing."""
        tries = []
        for place in self.places:
            find_targets = outside_targets if place == "outside" else inside_targets
            for target in find_targets(self.context, self.exposures):
                vantage = self._vantage(place, target)
                times = self.repeat if len(target.backends) > 1 and target.entry_point != "Pod" else 1
                expected = Connection(self.context, target, vantage).expected()
                tries.append(Try(vantage, target, times, expected))
        return tries

    def run(self, pods: ProbePods | None, read_again: Callable[[], VerificationContext] | None) -> list[Check]:
        """Connects, and judges: first the live policies of each namespace, then the connections in order of `tries`.

        `pods` may be None where only `outside` is asked for. `read_again` reads the cluster once more, so that what the
        operator was about to write is not reported as drift.
        """
        drifts = self._drifts(self.context)
        if mismatches(drifts) and read_again is not None:
            time.sleep(SETTLE_SECONDS)
            drifts = self._drifts(read_again())
        tries = self.tries()
        checks = []
        for attempted, (vantage, observed) in zip(tries, self._observe(tries, pods), strict=True):
            expectation = attempted.expected
            if vantage != attempted.vantage:  # Its addresses are known now.
                expectation = Connection(self.context, attempted.target, vantage).expected()
            checks.append(judged(attempted.target, vantage, expectation, observed))
        held = any(check.result == "as expected" and check.expected.verdict == "denied" for check in checks)
        return [*drifts, *(diagnosed(self.context, check, self._node_ports(check), held) for check in checks)]

    def _drifts(self, context: VerificationContext) -> list[Check]:
        namespaces = {exposure.namespace for exposure in self.exposures} & context.snapshot.namespaces.keys()
        return [check for namespace in sorted(namespaces) if (check := drift(context, namespace)) is not None]

    def _vantage(self, place: Place, target: Target) -> Vantage:
        match place:
            case "outside":
                own = self.source or own_address(target.address)
                return Vantage(place, (own,) if own else ())
            case "node":
                return Vantage(place, namespace=NODE_NAMESPACE, node=self.node)
            case "same-namespace":
                return Vantage(place, namespace=target.service.namespace, labels=pairs(LABELS))
            case "other-namespace":
                known = self.context.snapshot.namespaces.keys() - {target.service.namespace}
                preferred = self.probe_namespace or self.context.snapshot.config.operator_namespace
                return Vantage(place, namespace=preferred if preferred in known else "default", labels=pairs(LABELS))

    def _observe(self, tries: Sequence[Try], pods: ProbePods | None) -> list[tuple[Vantage, ProbeOutcome]]:
        """What came of each try, with its vantage as it was found: a probe pod has addresses and a node."""
        observed: dict[int, tuple[Vantage, ProbeOutcome]] = {}
        outside = [index for index, attempted in enumerate(tries) if attempted.vantage.place == "outside"]
        words = connect([tries[index].asked for index in outside], self.timeout, self.parallel)
        for index, word in zip(outside, words, strict=True):
            observed[index] = tries[index].vantage, outcome(word)
        by_vantage = grouped((tried.vantage, index) for index, tried in enumerate(tries) if index not in observed)
        most = min(TARGETS_PER_POD, MESSAGE_BYTES // (self.repeat + 1))
        for vantage, indexes in by_vantage.items():
            assert pods is not None
            for start in range(0, len(indexes), most):
                part = indexes[start : start + most]
                asked = [tries[index].asked for index in part]
                answer = pods.run(Job(vantage.namespace, asked, vantage.place == "node", vantage.node))
                there = replace(vantage, addresses=answer.addresses, node=vantage.node or answer.node)
                observed |= {index: (there, result) for index, result in zip(part, answer.observed, strict=True)}
        return [observed[index] for index in range(len(tries))]

    def _node_ports(self, check: Check) -> dict[str, Outcome]:
        """For a load balancer that does not answer: what the nodes answer at the Service's node port."""
        target = check.target
        if check.result != "mismatch" or check.expected.verdict != "allowed" or target is None:
            return {}
        port = target.service_port
        if target.entry_point not in ("LoadBalancer", "ExternalIP") or not port.node_port:
            return {}
        nodes = node_addresses(self.context, target.service, port)
        of_family = [ip for ip in nodes if (":" in ip) == (":" in target.address)]
        return {ip: OUTCOMES[attempt(ip, port.node_port, port.protocol, self.timeout)] for ip in of_family}


def mismatches(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if check.result == "mismatch"]
