"""`kubectl exposure plan`: what the operator would write, from the code that it runs itself."""

import difflib
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from exposure.cli.command import DIFFERENT, DONE
from exposure.cli.inputs import gather
from exposure.cli.terminal import say, say_json
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.render import network_policy_manifest
from exposure.plan.connectivity import connectivity, connectivity_lines
from exposure.plan.resolved import ResolvedSnapshot, as_enforced
from exposure.plan.text import plan_text

ONLY_PLANNED = "Namespace {namespace}: mode Audit does not write {names}. --as-enforced shows what Enforce writes."
LEFT_BY_PAUSE = "Namespace {namespace}: mode Paused writes no NetworkPolicies. --as-enforced shows what Enforce writes."
NOTHING_TO_WRITE = "There is nothing to write, and the operator has no NetworkPolicy to keep."

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]
    def ignore_aliases(self, data: object) -> bool:
        """An anchor is valid YAML, but hard to read in a manifest."""
        return True


def run(arguments: Namespace) -> int:
    given = gather(arguments)
    resolved = ResolvedSnapshot(as_enforced(given.snapshot) if arguments.as_enforced else given.snapshot)
    plans = [resolved.plan(namespace) for namespace in given.namespaces]
    manifests = (network_policy_manifest(policy) for policy in resolved.policies(given.namespaces))
    match arguments.output:
        case "yaml":
            sys.stdout.write("".join(f"---\n{_yaml(manifest)}" for manifest in manifests))
        case "json":
            say_json(_changes_json(resolved, plans) | {"networkPolicies": list(manifests)})
        case _:
            for line in _text(resolved, plans):
                say(line)
    return DIFFERENT if arguments.exit_code and any(plan.writes for plan in plans) else DONE


def _text(resolved: ResolvedSnapshot, plans: Sequence[Plan]) -> Iterator[str]:
    """Each change in the words of the plan; after those of a namespace, the lines of its policies that change."""
    for plan in plans:
        yield from plan_text(plan).splitlines()
        for change in plan.writes:
            if change.verb == "update":
                yield from _difference(change)
    for plan in plans:
        yield from connectivity_lines(connectivity(resolved.snapshot, plan))
    verbs = Counter(change.verb for plan in plans for change in plan.changes)
    counts = ", ".join(f"{verbs[verb]} to {verb}" for verb in ("create", "update", "delete", "keep"))
    yield f"{counts}." if verbs else NOTHING_TO_WRITE
    for plan in plans:
        yield from _held_back(resolved, plan.namespace)


def _difference(change: Change) -> Iterator[str]:
    before = _yaml(network_policy_manifest(change.live)) if change.live is not None else ""
    after = _yaml(network_policy_manifest(change.policy))
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "live", "planned", n=2)
    for index, line in enumerate(lines):
        name = f" {change.policy.namespace}/{change.policy.name}" if index < 2 else ""
        yield f"  {line.rstrip()}{name}"


def _held_back(resolved: ResolvedSnapshot, namespace: str) -> Iterator[str]:
    """What Audit or Paused keeps from being written."""
    resolution = resolved.resolution(namespace)
    enforced = {policy.name for policy in resolution.policies}
    only_planned = {policy.name for policy in resolution.audited} - enforced
    if only_planned:
        yield ONLY_PLANNED.format(namespace=namespace, names=", ".join(sorted(only_planned)))
    if resolution.frozen or (resolution.paused and enforced):
        yield LEFT_BY_PAUSE.format(namespace=namespace)


def _yaml(manifest: dict[str, Any]) -> str:
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120)


def _changes_json(resolved: ResolvedSnapshot, plans: Sequence[Plan]) -> dict[str, Any]:
    return {
        "changes": [
            {
                "verb": change.verb,
                "namespace": plan.namespace,
                "name": change.name,
                "reason": change.reason,
                "interim": change.interim,
                "before": network_policy_manifest(change.live) if change.live is not None else None,
                "after": network_policy_manifest(change.policy) if change.verb != "delete" else None,
            }
            for plan in plans
            for change in plan.changes
        ],
        "nameConflicts": [
            {"namespace": plan.namespace, "name": name} for plan in plans for name in plan.name_conflicts
        ],
        "connectivity": [
            {"namespace": plan.namespace, **difference.as_json()}
            for plan in plans
            for difference in connectivity(resolved.snapshot, plan)
        ],
    }
