"""Carries out the plan for one namespace, phase after phase, and says what came of it.

Changes of one phase are independent and leave together; the next phase begins when every write of the one before was
answered. A write that fails ends the pass: what comes later in a plan relies on what comes earlier.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from exposure.controller.errors import ApiError, Conflict, Invalid, NamespaceTerminating, NotFound
from exposure.controller.store import Store
from exposure.controller.tables import Key
from exposure.controller.writer import POLICIES, NotLeading, Writer
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan import is_ours, same
from exposure.render import network_policy_manifest


@dataclass(slots=True)
class Outcome:
    """What became of a plan. `complete`: every change was made, so the live policies equal the plan."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    kept: int = 0
    name_conflicts: tuple[str, ...] = ()
    failures: list[str] = field(default_factory=list)
    retry_after: float = 0.0
    leading: bool = True
    terminating: bool = False
    complete: bool = False

    @property
    def writes(self) -> int:
        return self.created + self.updated + self.deleted


def phases(plan: Plan) -> Iterator[list[Change]]:
    """The writes of the plan, cut wherever one may rely on the one before; those of one phase may be made at once."""
    for _, group in groupby(plan.writes, key=lambda change: change.step):
        yield list(group)


async def apply(plan: Plan, store: Store, writer: Writer) -> Outcome:
    """Never raises for what an API server may answer: failures are in the outcome, in words."""
    outcome = Outcome(kept=len(plan.changes) - len(plan.writes), name_conflicts=plan.name_conflicts)
    for phase in phases(plan):
        if len(phase) == 1:
            await _change(phase[0], outcome, store, writer)
        else:
            async with asyncio.TaskGroup() as group:
                for change in phase:
                    group.create_task(_change(change, outcome, store, writer))
        if outcome.failures or outcome.terminating or not outcome.leading:
            return outcome
    outcome.complete = not outcome.name_conflicts
    return outcome


async def _change(change: Change, outcome: Outcome, store: Store, writer: Writer) -> None:
    try:
        match change.verb:
            case "create":
                await _create(change, store, writer)
                outcome.created += 1
            case "update":
                await _update(change, store, writer)
                outcome.updated += 1
            case "delete":
                await _delete(change, store, writer)
                outcome.deleted += 1
    except NotLeading:
        outcome.leading = False
    except NamespaceTerminating:
        outcome.terminating = True
    except NotFound as error:
        # A namespace that is gone needs no policy; an object that is gone needs no deletion.
        outcome.terminating = change.policy.namespace not in store.snapshot.namespaces
        if not outcome.terminating:
            outcome.failures.append(str(error))
    except ApiError as error:
        outcome.failures.append(str(error))
        outcome.retry_after = max(outcome.retry_after, error.retry_after or (5.0 if isinstance(error, Invalid) else 0))


async def _create(change: Change, store: Store, writer: Writer) -> None:
    """Without force: where an object of this name appeared meanwhile, what somebody else wrote in it is a conflict."""
    await _apply(change, store, writer, force=False, uid="")


async def _update(change: Change, store: Store, writer: Writer) -> None:
    live = store.policies.get(_key(change))
    if live is None or not is_ours(live):
        raise Conflict(409, "it is no longer there, or no longer ours", request=f"apply {change.name}")
    # The uid is a precondition: another object of the same name is refused, not taken over.
    await _apply(change, store, writer, force=True, uid=live.uid)


async def _apply(change: Change, store: Store, writer: Writer, *, force: bool, uid: str) -> None:
    key = _key(change)
    body = network_policy_manifest(change.policy)
    if uid:
        body["metadata"]["uid"] = uid
    store.expect(key, change.policy)
    try:
        written = await writer.apply(POLICIES, _path(key), body, force=force)
        store.policies.put(written, quiet=True)
        _share(change, key, store)
    finally:
        store.expected_no_more(key)


async def _delete(change: Change, store: Store, writer: Writer) -> None:
    key = _key(change)
    live = store.policies.get(key)
    if live is None or live.deleting or not is_ours(live):
        return
    store.expect(key, None)
    try:
        answer = await writer.delete(POLICIES, _path(key), live.uid)
    except NotFound:
        answer = {}
    finally:
        store.expected_no_more(key)
    if answer.get("kind") == "NetworkPolicy" and answer["metadata"].get("finalizers"):
        store.policies.put(answer)
    else:
        store.policies.forget(key, live.uid)


def _share(change: Change, key: Key, store: Store) -> None:
    """Where the answer says the same as the plan, one copy of it is enough: half the memory of a large cluster."""
    live = store.policies.get(key)
    if live is not None and live == change.policy and live.spec is not change.policy.spec:
        store.policies.values[key[0]][key[1]] = replace(change.policy, uid=live.uid, deleting=live.deleting)


def differs(plan: Plan, store: Store) -> tuple[str, ...]:
    """Names of policies that are not live as the plan has them, by what was read back."""
    live = store.policies.in_namespace(plan.namespace)
    # Of several changes to one policy, the last one says what should stand.
    wanted = {change.name: None if change.verb == "delete" else change.policy for change in plan.changes}
    return tuple(sorted(name for name, policy in wanted.items() if not _is_so(live.get(name), policy)))


def _is_so(live: NetworkPolicy | None, wanted: NetworkPolicy | None) -> bool:
    return live is None if wanted is None else live is not None and same(live, wanted)


def _key(change: Change) -> Key:
    return change.policy.namespace, change.policy.name


def _path(key: Key) -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{key[0]}/networkpolicies/{key[1]}"
