"""What a rule reads, what it returns, and how the results of all rules add up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TypeAlias

from exposure.addresses import Family
from exposure.model.exposures import BlindSpot, Source
from exposure.model.objects import Service
from exposure.networkpolicy.values import PolicyPort
from exposure.networkpolicy.values import Rule as PolicyRule
from exposure.resolve.delivery import Delivery
from exposure.resolve.effective_policies import EffectivePolicy
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.limits import EffectiveLimits
from exposure.resolve.ports import ServicePorts
from exposure.resolve.selected_pods import SelectedPods


@dataclass(frozen=True, slots=True)
class Case:
    """One governed Service and everything that its rules may read. `ports` are the Service ports that it exposes."""

    service: Service
    policy: EffectivePolicy
    limits: EffectiveLimits
    facts: ClusterFacts
    families: tuple[Family, ...]
    selected: SelectedPods
    ports: tuple[ServicePorts, ...]
    deliveries: tuple[Delivery, ...]

    @property
    def denies_unenforceable(self) -> bool:
        return self.policy.spec.clients.unenforceable == "Deny"

    @property
    def targets(self) -> tuple[PolicyPort, ...]:
        """The target ports of all exposed Service ports."""
        return tuple(dict.fromkeys(target for ports in self.ports for target in ports.targets))


@dataclass(slots=True)
class Access:
    """What the rules have decided so far. Rules change it by its methods alone.

    `refusal`: why something, or with `refused` everything, is not opened. `closed`: entry points through which nothing
    is admitted. `egress` None leaves egress unrestricted. `selectable` False: no NetworkPolicy can select the pods.
    """

    sources: list[Source] = field(default_factory=list)
    blind_spots: list[BlindSpot] = field(default_factory=list)
    egress: tuple[PolicyRule, ...] | None = None
    refusal: str = ""
    refused: bool = False
    closed: set[str] = field(default_factory=set)
    selectable: bool = True

    def admit(self, *sources: Source) -> None:
        self.sources += sources

    def report(self, *blind_spots: BlindSpot) -> None:
        self.blind_spots += blind_spots

    def refuse(self, refusal: str) -> None:
        """Nothing of the Service is opened, and no later rule runs."""
        self.refusal, self.refused = refusal, True

    def close(self, entry_point: str, refusal: str) -> None:
        """Nothing is admitted through this entry point. The first refusal is the one that is shown."""
        self.closed.add(entry_point)
        self.refusal = self.refusal or refusal


Rule: TypeAlias = Callable[[Case, Access], None]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a rule says about one delivery."""

    sources: tuple[Source, ...] = ()
    blind_spots: tuple[BlindSpot, ...] = ()


NOTHING = Findings()


def admits(*sources: Source) -> Findings:
    return Findings(sources)


def reports(*blind_spots: BlindSpot) -> Findings:
    return Findings((), blind_spots)


def for_each_delivery(rule: Callable[[Case, Delivery], Findings]) -> Rule:
    """Makes a rule of a function that looks at one delivery. Entry points that an earlier rule closed are left out."""

    @wraps(rule)
    def for_all(case: Case, access: Access) -> None:
        for delivery in case.deliveries:
            if delivery.entry_point not in access.closed:
                findings = rule(case, delivery)
                access.admit(*findings.sources)
                access.report(*findings.blind_spots)

    return for_all
