"""Resolving one namespace: Services × policies × cluster facts → what should exist, and what is said about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from exposure.catalog.blind_spots import blind_spot
from exposure.model.exposures import (
    BlindSpot,
    Exposure,
    PolicyOutcome,
    PolicyRef,
    Resolution,
    ServiceOutcome,
    Verdict,
)
from exposure.model.intent import ClusterSpec
from exposure.model.objects import Pod, Ref, Service
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy
from exposure.resolve.cache import Memo, known
from exposure.resolve.exposures import front_exposure, governed_exposure, ungoverned_exposure
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governance import Voice
from exposure.resolve.grants import Grant, grant_for
from exposure.resolve.inputs import SERVICE_ENTRY_POINTS, Scene, gather, host_ports_of_nobody
from exposure.resolve.overlaps import additive, is_ours, shared_pods
from exposure.resolve.tenancy import Covering, bounds, cluster_meaning, covers, exceeds
from exposure.resolve.wanted import DEFAULT_DENY, SAME_NAMESPACE, TO_SERVICE, grant_policy, isolation_policies
from exposure.resolve.webhooks import webhook_blind_spots

ALL_MODES = ("Enforce", "Audit", "Paused")


def resolve(snapshot: Snapshot, facts: ClusterFacts, namespace: str, memo: Memo | None = None) -> Resolution:
    """Everything that follows for one namespace. Pure: equal inputs give equal results, in an order of their own.

    A caller that resolves again and again passes the same `memo`: one changed Service then costs one Service.
    """
    scenes = _Gathered(snapshot, facts, memo or Memo())
    scene = scenes.of(namespace)
    grants = scenes.grants(namespace)
    policies, audited, frozen = _policies(scene, grants, scenes.memo)
    standing = _standing(snapshot.network_policies.get(namespace, {}), audited or policies, frozen)
    subjects = {name: grant.subject for name, grant in grants.items()}
    unreached = webhook_blind_spots(scene, facts, subjects, standing)
    exposures = _service_exposures(scene, facts, grants, scenes, unreached)
    exposures += [front_exposure(front, snapshot, scenes, facts) for front in facts.fronts.get(namespace, ())]
    notes = (scene.note, host_ports_of_nobody(scene), *(spot.message for spot in unreached.get("", ())))
    return Resolution(
        namespace=namespace,
        policies=policies,
        exposures=tuple(exposures),
        outcomes=_outcomes(scene, grants, " ".join(filter(None, notes))),
        audited=audited,
        frozen=frozen,
        paused=scene.mode == "Paused" or scene.namespace.deleting,
    )


def _policies(
    scene: Scene, grants: dict[str, Grant], memo: Memo
) -> tuple[tuple[NetworkPolicy, ...], tuple[NetworkPolicy, ...], frozenset[str]]:
    """What should exist, what Audit only plans (the whole picture, grants and denials), and what a pause freezes."""
    name = scene.namespace.name
    if not scene.voices:
        return (), (), frozenset()
    by_mode: dict[str, list[NetworkPolicy]] = {mode: [] for mode in ALL_MODES}
    for grant in grants.values():
        policy = known(memo.policies, grant.service.ref, (grant,), partial(grant_policy, grant))
        if policy is not None:
            by_mode[grant.voice.mode].append(policy)
    modes = {voice.mode for voice in scene.voices}
    enforced = isolation_policies(name, scene.isolation({"Enforce"}))
    frozen = {policy.name for policy in by_mode["Paused"]}
    if "Paused" in modes:
        whole = isolation_policies(name, scene.isolation({"Enforce", "Paused"}))
        if whole != enforced:
            frozen |= {DEFAULT_DENY, SAME_NAMESPACE}
            enforced = []
    planned = isolation_policies(name, scene.isolation({"Enforce", "Audit"}))
    if scene.mode == "Audit":
        return (), _sorted([*planned, *by_mode["Enforce"], *by_mode["Audit"]]), frozenset()
    policies = _sorted([*enforced, *by_mode["Enforce"]])
    audited = _sorted([*planned, *by_mode["Enforce"], *by_mode["Audit"]]) if "Audit" in modes else ()
    return policies, audited, frozenset(frozen)


def _standing(
    live: Mapping[str, NetworkPolicy], wanted: Iterable[NetworkPolicy], frozen: frozenset[str]
) -> list[NetworkPolicy]:
    """What stands when the plan is carried out (in Audit mode: would stand), other people's policies included."""
    kept = [policy for name, policy in live.items() if name in frozen or not is_ours(policy)]
    return [*kept, *(policy for policy in wanted if policy.name not in frozen)]


def _sorted(policies: list[NetworkPolicy]) -> tuple[NetworkPolicy, ...]:
    return tuple(sorted(policies, key=lambda policy: policy.name))


def _service_exposures(
    scene: Scene,
    facts: ClusterFacts,
    grants: dict[str, Grant],
    scenes: "_Gathered",
    unreached: Mapping[str, list[BlindSpot]],
) -> list[Exposure]:
    denies = scenes.denies(scene.namespace.name)
    shared = shared_pods({name: grant.subject for name, grant in grants.items()})
    standing = scenes.snapshot.network_policies.get(scene.namespace.name, {})
    found: list[Exposure] = []
    for service in scene.services:
        if not scene.entry_points[service.name].intersection(SERVICE_ENTRY_POINTS):
            continue
        grant = grants.get(service.name)
        if grant is None:
            found.append(ungoverned_exposure(scene, facts, service, denies, unreached.get(service.name, ())))
            continue
        foreign = additive(grant.subject, grant.ingress, standing.values())
        more = [*shared.get(service.name, ()), *foreign, *unreached.get(service.name, ())]
        carrying = _carrying(scene, grant)
        more += _wall_spots(scene, [standing[name] for name in carrying if name in standing], denies)
        refs = tuple(Ref(scene.namespace.name, name) for name in carrying)
        make = partial(governed_exposure, scene, facts, grant, more, refs, denies)
        inputs = (facts, grant, more, refs, denies, scene.mode, scene.slices.get(service.name))
        found.append(known(scenes.memo.exposures, service.ref, inputs, make))
    return found


def _wall_spots(scene: Scene, holders: Iterable[NetworkPolicy], denies: bool) -> list[BlindSpot]:
    """`holders` are the live objects of the names that carry an exposure."""
    found = [
        blind_spot("ForeignPolicySameName", f"NetworkPolicy {holder.namespace}/{holder.name}.")
        for holder in holders
        if not is_ours(holder)
    ]
    if not denies:
        found.append(blind_spot("NotIsolated", f"Namespace {scene.namespace.name}."))
    return found


def _carrying(scene: Scene, grant: Grant) -> list[str]:
    """The names of the NetworkPolicies that carry this exposure."""
    if scene.mode in ("Audit",) or grant.voice.mode == "Audit":
        return []
    names = [] if grant.subject.selector is None else [TO_SERVICE + grant.service.name]
    walls = isolation_policies(scene.namespace.name, scene.isolation({"Enforce", "Paused"}))
    return [*names, *(policy.name for policy in walls)]


def _outcomes(scene: Scene, grants: dict[str, Grant], note: str) -> tuple[PolicyOutcome, ...]:
    found: list[PolicyOutcome] = []
    for voice in scene.voices:
        services = [
            ServiceOutcome(name, grant.refusal or _summary(grant))
            for name, grant in grants.items()
            if grant.voice.ref == voice.ref
        ]
        for name, (winner, losers) in sorted(scene.governors.items()):
            if winner is not None and any(loser.ref == voice.ref for loser in losers):
                services.append(
                    ServiceOutcome(name, f"Governed by {winner.ref.kind} {winner.ref} instead.", governed=False)
                )
        found.append(
            PolicyOutcome(
                policy=voice.ref,
                generation=voice.generation,
                verdict=voice.verdict,
                mode=scene.mode or voice.mode,
                services=tuple(sorted(services, key=lambda each: each.name)),
                uid=voice.uid,
                note=note.strip(),
            )
        )
    return tuple(found)


def _summary(grant: Grant) -> str:
    letters = ", ".join(dict.fromkeys(source.kind for source in grant.sources))
    peers = f" and {len(grant.voice.spec.peers)} peers" if grant.voice.spec.peers else ""
    return f"Opens {len(grant.ports)} ports to {letters or 'none'}{peers}."


def cluster_outcomes(snapshot: Snapshot, facts: ClusterFacts) -> tuple[PolicyOutcome, ...]:
    """What becomes of each ClusterExposurePolicy over all the namespaces that it covers, by name."""
    found: list[PolicyOutcome] = []
    for name in sorted(snapshot.cluster_exposure_policies):
        policy = snapshot.cluster_exposure_policies[name]
        meaning = cluster_meaning(policy)
        covered = [each for _, each in sorted(snapshot.namespaces.items()) if covers(meaning.spec, each, snapshot)]
        spec = meaning.spec
        found.append(
            PolicyOutcome(
                policy=PolicyRef("ClusterExposurePolicy", name),
                generation=policy.generation,
                verdict=_cluster_verdict(meaning, spec),
                mode=(spec.defaults.mode if spec else None) or "Enforce",
                uid=policy.uid,
                namespaces=tuple(each.name for each in covered),
            )
        )
    return tuple(found)


def _cluster_verdict(meaning: Covering, spec: ClusterSpec | None) -> Verdict:
    """Its own defaults must keep its own limits: a policy that contradicts itself grants nothing by default."""
    if not meaning.verdict.accepted or spec is None:
        return meaning.verdict
    wrong = exceeds(spec.defaults, replace(bounds((meaning,)), modes=None), ())
    if wrong is None:
        return meaning.verdict
    field = wrong[0].replace("spec.", "spec.defaults.", 1)
    return Verdict(False, "OutsideLimits", f"{field}: {wrong[1]}.")


@dataclass(slots=True)
class _Gathered:
    """Scenes and grants by namespace, gathered as they are asked for."""

    snapshot: Snapshot
    facts: ClusterFacts
    memo: Memo
    scenes: dict[str, Scene] = field(default_factory=dict)
    granted: dict[str, dict[str, Grant]] = field(default_factory=dict)
    pods: dict[str, tuple[Pod, ...]] = field(default_factory=dict)

    def of(self, namespace: str) -> Scene:
        if namespace not in self.scenes:
            self.scenes[namespace] = gather(self.snapshot, self.facts, namespace)
        return self.scenes[namespace]

    def grants(self, namespace: str) -> dict[str, Grant]:
        if namespace not in self.granted:
            scene = self.of(namespace)
            self.granted[namespace] = {
                service.name: self._grant(scene, service, voice)
                for service in scene.services
                if (voice := scene.governor_of(service.name)) is not None
            }
        return self.granted[namespace]

    def _grant(self, scene: Scene, service: Service, voice: Voice) -> Grant:
        routes = self.facts.grants.get(service.ref, ())
        slices = scene.slices.get(service.name, ())
        everyone = self._pods_of(service.namespace)
        isolation = scene.isolation({voice.mode, "Enforce"})
        entry_points = scene.entry_points[service.name]
        inputs = (self.facts, service, voice, scene.limit, entry_points, routes, slices, everyone, isolation)
        make = partial(grant_for, scene, self.facts, service, voice, routes)
        return known(self.memo.grants, service.ref, inputs, make)

    def _pods_of(self, namespace: str) -> tuple[Pod, ...]:
        """One tuple for all Services of a namespace: each of them remembers it."""
        if namespace not in self.pods:
            self.pods[namespace] = tuple(self.snapshot.pods.get(namespace, {}).values())
        return self.pods[namespace]

    def grant(self, service: Ref) -> Grant | None:
        return self.grants(service.namespace).get(service.name)

    def denies(self, namespace: str) -> bool:
        """Whether a default-deny of ours stands for what comes in: planned, or left standing by a pause."""
        scene = self.of(namespace)
        standing = self.snapshot.network_policies.get(namespace, {}).get(DEFAULT_DENY)
        stands = standing is not None and is_ours(standing) and standing.spec.ingress is not None
        if scene.mode == "Audit":
            return False
        if scene.mode == "Paused":
            return stands
        if standing is not None and not is_ours(standing):
            # Somebody else's object of our name is never overwritten, so no wall of ours can stand.
            return False
        if scene.isolation({"Enforce"}).ingress:
            return True
        return stands and any(voice.mode == "Paused" for voice in scene.voices)
