"""What users ask for: ExposurePolicy and ClusterExposurePolicy. A field that is None was omitted."""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from exposure.addresses import Block, Network, covered
from exposure.labels import LabelSelector
from exposure.model.objects import Service
from exposure.networkpolicy.values import Peer, Rule

S = TypeVar("S")

DEFAULT_ENTRY_POINTS = ("LoadBalancer", "Ingress", "Gateway")
ENTRY_POINTS = ("LoadBalancer", "NodePort", "ExternalIP", "HostPort", "Ingress", "Gateway")
MODES = ("Enforce", "Audit", "Paused")


@dataclass(frozen=True, slots=True)
class Isolation:
    ingress: bool | None = None
    egress: bool | None = None
    allow_same_namespace: bool | None = None

    @property
    def isolates(self) -> bool:
        """Whether a policy that says this isolates its namespace in some direction."""
        return self.ingress is not False or self.egress is True


@dataclass(frozen=True, slots=True)
class Clients:
    """Who may connect from outside. `blocks` None: omitted. `cidrs`: as written, to be compared with limits."""

    blocks: tuple[Block, ...] | None = None
    cidrs: tuple[Network, ...] = ()
    unenforceable: str | None = None


@dataclass(frozen=True, slots=True)
class Egress:
    dns: bool = True
    api_server: bool = False
    to: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadBalancerOverrides:
    profile: str | None = None
    cidrs: tuple[Network, ...] = ()
    health_check_cidrs: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class ExposureSpec:
    """The spec of an ExposurePolicy, and the `defaults` of a ClusterExposurePolicy."""

    mode: str | None = None
    entry_points: tuple[str, ...] | None = None
    selector: LabelSelector | None = None
    names: tuple[str, ...] | None = None
    isolation: Isolation = Isolation()
    clients: Clients = Clients()
    ports: tuple[int | str, ...] | None = None
    peers: tuple[Peer, ...] = ()
    egress: Egress | None = None
    load_balancer: LoadBalancerOverrides = LoadBalancerOverrides()

    @property
    def selected_entry_points(self) -> tuple[str, ...]:
        return DEFAULT_ENTRY_POINTS if self.entry_points is None else self.entry_points

    def selects(self, service: Service) -> bool:
        """Whether the spec means this Service."""
        if self.names is not None:
            return service.name in self.names
        return self.selector is None or self.selector.matches(service.labels)


@dataclass(frozen=True, slots=True)
class InvalidSpec:
    """A spec that the API server would refuse: the first field that is wrong, and what is wrong with it."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What no policy may exceed. None: no limit. Empty, as disjoint limits leave it: nothing is allowed."""

    clients: tuple[Block, ...] | None = None
    ports: frozenset[int] | None = None
    allow_public: bool = True
    modes: tuple[str, ...] | None = None

    def allows(self, cidr: Network) -> bool:
        return self.clients is None or covered(cidr, (block.cidr for block in self.clients))


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    namespace_selector: LabelSelector | None = None
    include_system_namespaces: tuple[str, ...] = ()
    isolation: Isolation = Isolation()
    defaults: ExposureSpec = ExposureSpec()
    require_exposure_policy: bool = False
    limits: Limits = Limits(modes=("Enforce",))


@dataclass(frozen=True, slots=True)
class Policy(Generic[S]):
    """`namespace` is empty where the policy is cluster-scoped.

    `last_accepted`: the newest spec that was accepted, as status remembers it. None: none was, or it is not valid now.
    """

    namespace: str
    name: str
    spec: S | InvalidSpec
    created: str = ""
    generation: int = 1
    uid: str = ""
    last_accepted: S | None = None


#: Types, and no constructors: a frozen class with slots cannot be made by its alias.
ExposurePolicy: TypeAlias = Policy[ExposureSpec]
ClusterExposurePolicy: TypeAlias = Policy[ClusterSpec]
