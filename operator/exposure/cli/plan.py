"""`kubectl exposure plan`: what the operator would write, from the very code that it runs."""

import difflib
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exposure.cli.command import DIFFERENT, DONE, Command
from exposure.cli.inputs import add_input_options, gather
from exposure.cli.terminal import say
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.values import NetworkPolicy

if TYPE_CHECKING:
    from exposure.cli.resolved import ResolvedSnapshot


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        choices=("diff", "yaml", "json"),
        default="diff",
        help="diff (the default): each change in one line, against the cluster, or with -f against the NetworkPolicies "
        "in the files; yaml: every NetworkPolicy of ours that should exist afterwards, changed or not; json: both",
    )
    parser.add_argument("--as-enforced", action="store_true", help="plan as if nothing were in mode Audit or Paused")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if anything would be written")
    add_input_options(parser)


def _run(arguments: Namespace) -> int:
    from exposure.cli.resolved import ResolvedSnapshot, as_enforced
    from exposure.plan import connectivity_lines

    given = gather(arguments)
    if arguments.as_enforced:
        given = replace(given, snapshot=as_enforced(given.snapshot))
    outcomes = ResolvedSnapshot(given.snapshot, given.namespaces)
    plans = outcomes.plans()
    match arguments.output:
        case "yaml":
            sys.stdout.write(_yaml(outcomes.policies()))
        case "json":
            sys.stdout.write(json.dumps(_json(plans, outcomes), indent=2) + "\n")
        case _:
            print_changes(plans, [line for plan in plans for line in connectivity_lines(outcomes.differences(plan))])
            for sentence in outcomes.held_back():
                say(f"{sentence} (--as-enforced shows what Enforce would write)")
    return DIFFERENT if arguments.exit_code and any(plan.writes for plan in plans) else DONE


def print_changes(plans: Sequence[Plan], connectivity: Sequence[str] = ()) -> None:
    """Each change in the plan's own words, under an update the lines of the policy that change; then what is lost."""
    from exposure.plan.text import plan_text

    for plan in plans:
        text = plan_text(plan).rstrip("\n")
        if text:
            say(text)
        for change in plan.writes:
            if change.verb == "update":
                for line in _difference(change):
                    say(line)
    for line in connectivity:
        say(line)
    writes = [change for plan in plans for change in plan.writes]
    counts = [f"{sum(change.verb == verb for change in writes)} to {verb}" for verb in ("create", "update", "delete")]
    kept = sum(change.verb == "keep" for plan in plans for change in plan.changes)
    say(f"{', '.join(counts)}, {kept} to keep." if writes or kept else "Nothing to write, nothing of ours to keep.")


def _difference(change: Change) -> Iterator[str]:
    before = _text(manifest(change.live)) if change.live is not None else ""
    found = difflib.unified_diff(
        before.splitlines(), _text(manifest(change.policy)).splitlines(), "live", "planned", n=2
    )
    shown = f"{change.policy.namespace}/{change.policy.name}"
    for index, line in enumerate(each.rstrip("\n") for each in found):
        yield f"  {line} {shown}" if index < 2 else f"  {line}"


def manifest(policy: NetworkPolicy) -> dict[str, Any]:
    from exposure.render import network_policy_manifest

    return network_policy_manifest(policy)


def _text(manifest: dict[str, Any]) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(manifest, Dumper=_without_aliases(dumper), sort_keys=False, width=120)


def _without_aliases(dumper: Any) -> Any:
    # An anchor would be valid YAML, but nobody wants to read one in a manifest.
    return type("Dumper", (dumper,), {"ignore_aliases": lambda self, data: True})


def _yaml(policies: Sequence[NetworkPolicy]) -> str:
    return "".join(f"---\n{_text(manifest(policy))}" for policy in policies)


def _json(plans: Sequence[Plan], outcomes: "ResolvedSnapshot") -> dict[str, Any]:
    return {
        "changes": [
            {
                "verb": change.verb,
                "namespace": plan.namespace,
                "name": change.name,
                "reason": change.reason,
                "interim": change.interim,
                "before": manifest(change.live) if change.live is not None else None,
                "after": manifest(change.policy) if change.verb != "delete" else None,
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
            for difference in outcomes.differences(plan)
        ],
        "networkPolicies": [manifest(policy) for policy in outcomes.policies()],
    }


COMMAND = Command(
    name="plan",
    summary="what the operator would write: a diff against what stands, or the NetworkPolicies themselves",
    description="What the operator would write, in the order in which it would, from the code that it runs itself.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  kubectl exposure plan -n shop\n  kubectl exposure plan -f shop.yaml -o yaml\n"
    "  kubectl exposure plan --as-enforced          what leaving Audit mode would do\n",
)
