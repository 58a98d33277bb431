"""What the rules have decided so far, and how a function that looks at one delivery becomes a rule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import TypeAlias

from exposure.model.exposures import BlindSpot, Source
from exposure.networkpolicy.values import Rule
from exposure.resolve.delivery import Case, Delivery


@dataclass(slots=True)
class Access:
    """What the rules have decided so far.

    `refusal`: why nothing of the Service is opened. `closed`: entry points through which nothing is admitted, each with
    its refusal. `egress` None leaves egress unrestricted. `selectable` False: no NetworkPolicy can select the pods.
    """

    sources: list[Source] = field(default_factory=list)
    blind_spots: list[BlindSpot] = field(default_factory=list)
    egress: tuple[Rule, ...] | None = None
    refusal: str = ""
    closed: dict[str, str] = field(default_factory=dict)
    selectable: bool = True

    def admit(self, source: Source) -> None:
        self.sources.append(source)

    def report(self, *blind_spots: BlindSpot) -> None:
        self.blind_spots += blind_spots

    def refuse(self, refusal: str) -> None:
        """Nothing of the Service is opened, and no later rule runs."""
        self.refusal = refusal

    def close(self, entry_point: str, refusal: str) -> None:
        """Nothing is admitted through this entry point. The first refusal is shown."""
        self.closed.setdefault(entry_point, refusal)


DecisionRule: TypeAlias = Callable[[Case, Access], None]
#: What a rule finds about one delivery.
Findings: TypeAlias = Iterator[Source | BlindSpot]


def for_each_delivery(rule: Callable[[Case, Delivery], Findings]) -> DecisionRule:
    """Turns a function of one delivery into a rule. It skips entry points that an earlier rule closed."""

    @wraps(rule)
    def for_all(case: Case, access: Access) -> None:
        for delivery in case.deliveries:
            if delivery.entry_point not in access.closed:
                for finding in rule(case, delivery):
                    if isinstance(finding, BlindSpot):
                        access.report(finding)
                    else:
                        access.admit(finding)

    return for_all
