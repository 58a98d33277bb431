"""Carries out the plan for one namespace, step after step.

The changes of one step are independent and leave together. The next step begins when every write of the one before was
answered. A write that fails ends the pass, because later changes of a plan rely on earlier ones.
"""

import asyncio
from dataclasses import dataclass, field, replace
from itertools import groupby

from exposure.controller.errors import ApiError, Conflict, Invalid, NamespaceTerminating, NotFound
from exposure.controller.queue import DONE, PassResult, RetryLater
from exposure.controller.store import Store, is_as_wanted
from exposure.controller.tables import Key
from exposure.controller.writer import POLICIES, NotLeading, Writer
from exposure.model.plans import Change, Plan
from exposure.plan import is_ours
from exposure.render import network_policy_manifest

#: What the API server refuses today it may accept after a change elsewhere, such as a quota.
RETRY_INVALID_SECONDS = 5.0


@dataclass(slots=True)
class ApplyResult:
    """What became of a plan. `complete`: every change was made, so the live policies equal the plan.

    `failures` are sentences. `retry_after`: seconds, where the API server named a time. `leading`: the lease allowed
    every write. `terminating`: the namespace is being deleted.
    """

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

    @property
    def pass_result(self) -> PassResult:
        return RetryLater(self.retry_after) if self.failures else DONE


async def apply(plan: Plan, store: Store, writer: Writer) -> ApplyResult:
    """Never raises for what an API server may answer: the result has it."""
    result = ApplyResult(kept=len(plan.changes) - len(plan.writes), name_conflicts=plan.name_conflicts)
    for _, changes in groupby(plan.writes, key=lambda change: change.step):
        step = list(changes)
        if len(step) == 1:
            await _carry_out(step[0], result, store, writer)
        else:
            async with asyncio.TaskGroup() as group:
                for change in step:
                    group.create_task(_carry_out(change, result, store, writer))
        if result.failures or result.terminating or not result.leading:
            return result
    result.complete = not result.name_conflicts
    return result


async def _carry_out(change: Change, result: ApplyResult, store: Store, writer: Writer) -> None:
    try:
        match change.verb:
            case "create":
                # Without force: where an object of this name has appeared meanwhile, that is a Conflict.
                await _apply(change, store, writer, force=False, uid="")
                result.created += 1
            case "update":
                await _update(change, store, writer)
                result.updated += 1
            case "delete":
                await _delete(change, store, writer)
                result.deleted += 1
    except NotLeading:
        result.leading = False
    except NamespaceTerminating:
        result.terminating = True
    except NotFound as error:
        # A namespace that is gone needs no policy.
        result.terminating = change.policy.namespace not in store.snapshot.namespaces
        if not result.terminating:
            result.failures.append(str(error))
    except ApiError as error:
        result.failures.append(str(error))
        unnamed = RETRY_INVALID_SECONDS if isinstance(error, Invalid) else 0.0
        result.retry_after = max(result.retry_after, error.retry_after or unnamed)


async def _update(change: Change, store: Store, writer: Writer) -> None:
    live = store.policies.get(_key(change))
    if live is None or not is_ours(live):
        raise Conflict(409, "it no longer exists, or is no longer ours", request=f"apply {change.name}")
    # With the uid as a precondition, another object of the same name is refused and not overwritten.
    await _apply(change, store, writer, force=True, uid=live.uid)


async def _apply(change: Change, store: Store, writer: Writer, *, force: bool, uid: str) -> None:
    key = _key(change)
    body = network_policy_manifest(change.policy)
    if uid:
        body["metadata"]["uid"] = uid
    store.expect(key, change.policy)
    try:
        written = await writer.apply(POLICIES, _path(key), body, force=force)
        store.policies.put(written, own_write=True)
        _share(change, key, store)
    finally:
        store.end_expectation(key)


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
        store.end_expectation(key)
    if answer.get("kind") == "NetworkPolicy" and answer["metadata"].get("finalizers"):
        store.policies.put(answer)
    else:
        store.policies.forget(key, live.uid)


def _share(change: Change, key: Key, store: Store) -> None:
    """Keeps one copy of a policy where the answer equals the plan: half the memory of a large cluster."""
    live = store.policies.get(key)
    if live is not None and live == change.policy and live.spec is not change.policy.spec:
        store.policies.values[key[0]][key[1]] = replace(change.policy, uid=live.uid, deleting=live.deleting)


def not_as_planned(plan: Plan, store: Store) -> tuple[str, ...]:
    """The names of policies that are not live as the plan has them, by what was read back."""
    live = store.policies.in_namespace(plan.namespace)
    # Of several changes to one policy, the last one says what should exist.
    planned = {change.name: None if change.verb == "delete" else change.policy for change in plan.changes}
    return tuple(sorted(name for name, policy in planned.items() if not is_as_wanted(live.get(name), policy)))


def _key(change: Change) -> Key:
    return change.policy.namespace, change.policy.name


def _path(key: Key) -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{key[0]}/networkpolicies/{key[1]}"
