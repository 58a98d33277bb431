"""`kubectl exposure plan`: what the operator would write, from the code that it runs itself."""

import difflib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exposure.cli.command import DIFFERENT, DONE, Command
from exposure.cli.exposure_json import json_text
from exposure.cli.inputs import add_input_options, gather
from exposure.cli.terminal import say
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.values import NetworkPolicy

if TYPE_CHECKING:
    from exposure.plan.connectivity import Difference
    from exposure.plan.resolved import ResolvedSnapshot

ONLY_PLANNED = (
    "Namespace {namespace}: mode Audit plans and does not write {names}. --as-enforced shows what Enforce writes."
)
LEFT_BY_PAUSE = (
    "Namespace {namespace}: mode Paused leaves NetworkPolicies as they are. --as-enforced shows what Enforce writes."
)
NOTHING_TO_WRITE = "There is nothing to write, and no NetworkPolicy of the operator to keep."


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        choices=("diff", "yaml", "json"),
        default="diff",
        help="diff (the default): each change in one line, compared with the cluster, or with -f with the "
        "NetworkPolicies in the files; yaml: every NetworkPolicy of the operator that should exist afterwards; json: "
        "both",
    )
    parser.add_argument("--as-enforced", action="store_true", help="plan as if nothing were in mode Audit or Paused")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if anything would be written")
    add_input_options(parser)


def _run(arguments: Namespace) -> int:
    from exposure.plan import connectivity, connectivity_lines
    from exposure.plan.resolved import ResolvedSnapshot, as_enforced

    given = gather(arguments)
    if arguments.as_enforced:
        given = replace(given, snapshot=as_enforced(given.snapshot))
    resolved = ResolvedSnapshot(given.snapshot)
    plans = [resolved.plan(namespace) for namespace in given.namespaces]
    match arguments.output:
        case "yaml":
            policies = resolved.policies(given.namespaces)
            sys.stdout.write("".join(f"---\n{_yaml(_manifest(policy))}" for policy in policies))
        case "json":
            differences = {plan.namespace: connectivity(given.snapshot, plan) for plan in plans}
            sys.stdout.write(json_text(_json(plans, differences, resolved.policies(given.namespaces))))
        case _:
            for line in _changes(plans):
                say(line)
            for plan in plans:
                for line in connectivity_lines(connectivity(given.snapshot, plan)):
                    say(line)
            say(_count(plans))
            for line in _held_back(resolved, given.namespaces):
                say(line)
    return DIFFERENT if arguments.exit_code and any(plan.writes for plan in plans) else DONE


def _changes(plans: Sequence[Plan]) -> Iterator[str]:
    """Each change in the words of the plan; after those of a namespace, the lines of its policies that change."""
    from exposure.plan import plan_text

    for plan in plans:
        yield from plan_text(plan).splitlines()
        for change in plan.writes:
            if change.verb == "update":
                yield from _difference(change)


def _difference(change: Change) -> Iterator[str]:
    before = _yaml(_manifest(change.live)) if change.live is not None else ""
    after = _yaml(_manifest(change.policy))
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "live", "planned", n=2)
    for index, line in enumerate(lines):
        name = f" {change.policy.namespace}/{change.policy.name}" if index < 2 else ""
        yield f"  {line.rstrip()}{name}"


def _count(plans: Sequence[Plan]) -> str:
    writes = [change for plan in plans for change in plan.writes]
    counts = [f"{sum(change.verb == verb for change in writes)} to {verb}" for verb in ("create", "update", "delete")]
    kept = sum(change.verb == "keep" for plan in plans for change in plan.changes)
    return f"{', '.join(counts)}, {kept} to keep." if writes or kept else NOTHING_TO_WRITE


def _held_back(resolved: "ResolvedSnapshot", namespaces: Sequence[str]) -> Iterator[str]:
    """A message for each namespace in which Audit or Paused keeps something from being written."""
    for namespace in namespaces:
        resolution = resolved.resolution(namespace)
        enforced = {policy.name for policy in resolution.policies}
        only_planned = {policy.name for policy in resolution.audited} - enforced
        if only_planned:
            yield ONLY_PLANNED.format(namespace=namespace, names=", ".join(sorted(only_planned)))
        if resolution.frozen or (resolution.paused and enforced):
            yield LEFT_BY_PAUSE.format(namespace=namespace)


def _manifest(policy: NetworkPolicy) -> dict[str, Any]:
    from exposure.render import network_policy_manifest

    return network_policy_manifest(policy)


def _yaml(manifest: dict[str, Any]) -> str:
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    # An anchor is valid YAML, but hard to read in a manifest.
    without_anchors = type("Dumper", (dumper,), {"ignore_aliases": lambda self, data: True})
    return yaml.dump(manifest, Dumper=without_anchors, sort_keys=False, width=120)


def _json(
    plans: Sequence[Plan], differences: Mapping[str, Sequence["Difference"]], policies: Sequence[NetworkPolicy]
) -> dict[str, Any]:
    return {
        "changes": [
            {
                "verb": change.verb,
                "namespace": plan.namespace,
                "name": change.name,
                "reason": change.reason,
                "interim": change.interim,
                "before": _manifest(change.live) if change.live is not None else None,
                "after": _manifest(change.policy) if change.verb != "delete" else None,
            }
            for plan in plans
            for change in plan.changes
        ],
        "nameConflicts": [
            {"namespace": plan.namespace, "name": name} for plan in plans for name in plan.name_conflicts
        ],
        "connectivity": [
            {"namespace": namespace, **difference.as_json()}
            for namespace, of_namespace in differences.items()
            for difference in of_namespace
        ],
        "networkPolicies": [_manifest(policy) for policy in policies],
    }


COMMAND = Command(
    name="plan",
    summary="what the operator would write: a diff against what is live, or the NetworkPolicies themselves",
    description="What the operator would write, in the order in which it would, from the code that it runs itself.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  kubectl exposure plan -n shop\n  kubectl exposure plan -f shop.yaml -o yaml\n"
    "  kubectl exposure plan --as-enforced          what leaving mode Audit would do\n",
)
