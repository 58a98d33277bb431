"""Carries out the plan for one namespace, step after step.

The changes of one step are independent and leave together. The next step begins when every write of the one before was
answered. A write that fails ends the pass, because later changes of a plan rely on earlier ones.
"""

import asyncio
from dataclasses import dataclass, field, replace
from itertools import groupby

from exposure.controller.errors import ApiError, Conflict, Invalid, NamespaceTerminating, NotFound
from exposure.controller.queue import PassResult
from exposure.controller.store import Store, is_as_wanted
from exposure.controller.tables import Key
from exposure.controller.writer import NotLeading, Writer
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.render import network_policy_manifest

#: What the API server refuses today it may accept after a change elsewhere, such as a quota.
RETRY_INVALID_SECONDS = 5.0


@dataclass(slots=True)
class ApplyResult(PassResult):
    """What became of a plan. `made`: the changes that were made. `terminating`: the namespace is being deleted."""

    made: list[Change] = field(default_factory=list)
    name_conflicts: tuple[str, ...] = ()
    terminating: bool = False

    @property
    def complete(self) -> bool:
        """Every change was made, so the live policies equal the plan."""
        return not (self.failures or self.name_conflicts or self.terminating)


async def apply(plan: Plan, store: Store, writer: Writer) -> ApplyResult:
    """Carries out the plan. Errors of the API server are in the result and not raised."""
    result = ApplyResult(name_conflicts=plan.name_conflicts)
    for _, changes in groupby(plan.writes, key=lambda change: change.step):
        step = list(changes)
        if len(step) == 1:
            await _carry_out(step[0], result, store, writer)
        else:
            async with asyncio.TaskGroup() as group:
                for change in step:
                    group.create_task(_carry_out(change, result, store, writer))
        if result.failures or result.terminating:
            break
    return result


async def _carry_out(change: Change, result: ApplyResult, store: Store, writer: Writer) -> None:
    key = (change.policy.namespace, change.policy.name)
    try:
        if change.verb == "delete":
            await _delete(key, store, writer)
        else:
            await _write(change, key, store, writer)
        result.made.append(change)
    except NamespaceTerminating:
        result.terminating = True
    except NotFound as error:
        # A namespace that is gone needs no policy.
        if change.policy.namespace in store.snapshot.namespaces:
            result.fail(error)
        else:
            result.terminating = True
    except (ApiError, NotLeading) as error:
        result.fail(error)
        if isinstance(error, Invalid):
            result.retry_after = max(result.retry_after, RETRY_INVALID_SECONDS)


async def _write(change: Change, key: Key, store: Store, writer: Writer) -> None:
    body = network_policy_manifest(change.policy)
    if change.verb == "update":
        live = store.policies.get(key)
        if live is None or not live.is_ours:
            raise Conflict(409, "it was deleted, or no longer belongs to the operator", request=f"apply {change.name}")
        # A precondition: another object of the same name is refused and not overwritten.
        body["metadata"]["uid"] = live.uid
    with store.expecting("NetworkPolicy", key, lambda live: is_as_wanted(live, change.policy)):
        # A create is not forced: where an object of this name has appeared meanwhile, that is a Conflict.
        await writer.apply(store.policies, body, force=change.verb == "update")
        live = store.policies.get(key)
        if live == change.policy:
            # One copy of a policy where the answer equals the plan: half the memory of a large cluster.
            store.policies.values[key[0]][key[1]] = replace(change.policy, uid=live.uid, deleting=live.deleting)


async def _delete(key: Key, store: Store, writer: Writer) -> None:
    live = store.policies.get(key)
    if live is None or live.deleting or not live.is_ours:
        return
    with store.expecting("NetworkPolicy", key, lambda live: live is None):
        answer = await writer.delete(store.policies.kind.plural, store.policies.path(key), live.uid)
        if answer.get("kind") == "NetworkPolicy" and answer["metadata"].get("finalizers"):
            store.policies.put(answer)
        else:
            store.policies.forget(key, live.uid)
