"""The product's evaluator of NetworkPolicies, asked as the oracle and the tests' own evaluator are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exposure.model.connection_ends import address_blocks, addresses_end, pods_end
from exposure.model.objects import ContainerPort, Namespace, Pod
from exposure.networkpolicy.evaluate import Decision, Evaluator, Verdict
from exposure.networkpolicy.matching import ConnectionEnd
from exposure.networkpolicy.parse import network_policy
from exposure.networkpolicy.values import PolicyPort
from tests.lab.generate import Generated, Manifest
from tests.plan.evaluator import Party


@dataclass
class Asked:
    """`namespaces`: the labels of each; `policies`: NetworkPolicy manifests of all namespaces."""

    namespaces: Mapping[str, Mapping[str, str]]
    policies: Iterable[Manifest]
    ends: dict[Party, ConnectionEnd] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.evaluator = Evaluator(map(network_policy, self.policies))

    def verdict(self, source: Party, destination: Party, protocol: str, port: int) -> Verdict:
        """Of both ends together; pods reach themselves."""
        if source == destination:
            return Verdict.ALLOWED
        return both_ends(self.decisions(self.end(source), self.end(destination), PolicyPort(protocol, port)))

    def decisions(
        self, source: ConnectionEnd, destination: ConnectionEnd, port: PolicyPort
    ) -> tuple[Decision, Decision]:
        return (
            self.evaluator.decide("egress", source, destination, port),
            self.evaluator.decide("ingress", destination, source, port),
        )

    def end(self, party: Party) -> ConnectionEnd:
        if party not in self.ends:
            self.ends[party] = self._made_end(party)
        return self.ends[party]

    def _made_end(self, party: Party) -> ConnectionEnd:
        if not party.namespace:
            return addresses_end(address_blocks([party.address]))
        ports = tuple(ContainerPort(name, protocol, number) for name, protocol, number in party.ports)
        pod = Pod(party.namespace, party.address, party.labels, (party.address,), ports=ports)
        labels = tuple(self.namespaces[party.namespace].items())
        return pods_end([pod], Namespace(party.namespace, labels), party.labels)


def both_ends(decisions: tuple[Decision, Decision]) -> Verdict:
    verdicts = {decision.verdict for decision in decisions}
    return next((each for each in (Verdict.DENIED, Verdict.UNKNOWN) if each in verdicts), Verdict.ALLOWED)


def parties(cluster: Generated) -> list[Party]:
    """The pods of a generated cluster, by their first address."""
    return [
        Party(
            pod["status"]["podIP"],
            pod["metadata"]["namespace"],
            tuple(sorted(pod["metadata"]["labels"].items())),
            tuple(
                (port["name"], port["protocol"], port["containerPort"])
                for port in pod["spec"]["containers"][0]["ports"]
            ),
        )
        for pod in cluster.pods
    ]


def namespace_labels(cluster: Generated) -> dict[str, dict[str, str]]:
    return {each["metadata"]["name"]: each["metadata"]["labels"] for each in cluster.namespaces}
