"""`kubectl exposure verify`: real connections, what is expected of them, and what is observed."""

import signal
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence

from exposure.cli.command import DIFFERENT, DONE, UsageError
from exposure.cli.inputs import Input, gather
from exposure.cli.selection import named_object
from exposure.cli.terminal import say, say_json, table, warn, wrapped
from exposure.cli.wording import NO_ENTRY_POINTS
from exposure.model.exposures import Exposure
from exposure.verify.context import VerificationContext
from exposure.verify.pods import ProbeFailed, ProbePods
from exposure.verify.report import as_junit, check_json
from exposure.verify.run import Try, Verification, mismatches
from exposure.verify.values import PLACES, Check


def run(arguments: Namespace) -> int:
    given = gather(arguments)
    places = arguments.places or (PLACES[:3] if given.cluster else PLACES[:1])
    inside = ",".join(place for place in places if place != "outside")
    if inside and given.cluster is None:
        raise UsageError(f"Probe pods need a cluster, but -f reads manifests. Remove {inside} from --from.")
    if arguments.node and arguments.node not in given.snapshot.nodes:
        raise UsageError(f"There is no Node {arguments.node}. To list the nodes, run kubectl get nodes.")
    context = VerificationContext(given.snapshot)
    exposures = _chosen(context, given, arguments.name)
    verification = Verification(
        context,
        exposures,
        places,
        timeout=arguments.timeout,
        parallel=arguments.parallel,
        repeat=arguments.repeat,
        source=arguments.source or "",
        probe_namespace=arguments.probe_namespace,
        node=arguments.node,
    )
    if arguments.dry_run:
        _print_tries(verification.tries())
        return DONE
    pods = _probe_pods(arguments, given) if inside and exposures else None
    # SIGTERM must delete the probe pods as well, not only Ctrl-C.
    before = signal.signal(signal.SIGTERM, _interrupt)
    read_again = (lambda: VerificationContext(gather(arguments).snapshot)) if given.cluster else None
    try:
        checks = verification.run(pods, read_again)
    except ProbeFailed as error:
        raise UsageError(f"{error} --from outside needs no pods.") from error
    finally:
        if pods is not None:
            pods.close()
        signal.signal(signal.SIGTERM, before)
    match arguments.output:
        case "json":
            say_json(list(map(check_json, checks)))
        case "junit":
            sys.stdout.write(as_junit(checks))
        case _ if checks:
            _print_checks(checks)
        case _:
            warn(NO_ENTRY_POINTS)
    return DIFFERENT if mismatches(checks) else DONE


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _chosen(context: VerificationContext, given: Input, names: Sequence[str]) -> list[Exposure]:
    """The entry points to verify: of the namespaces asked for, or those that belong to one of the named objects."""
    if not names:
        return context.exposures(given.namespaces)
    every = context.exposures(given.snapshot.namespaces)
    named = [named_object(given, every, name) for name in names]
    return [exposure for exposure in every if any(by_name.owns(exposure) for by_name in named)]


def _probe_pods(arguments: Namespace, given: Input) -> ProbePods:
    assert given.cluster is not None
    home = arguments.operator_namespace
    image = arguments.image or given.cluster.operator_image(home)
    pods = ProbePods(given.cluster.request, image, arguments.timeout, arguments.parallel)
    removed = pods.sweep([arguments.probe_namespace or home, "default", "kube-system"])
    if removed:
        warn(f"Deleted {removed} probe pods of an earlier run.")
    return pods


def _print_tries(tries: Sequence[Try]) -> None:
    rows = [
        (
            attempted.target.exposure,
            str(attempted.vantage),
            attempted.target.entry_point,
            attempted.target.place,
            str(attempted.times),
            attempted.expected.verdict,
            attempted.expected.why,
        )
        for attempted in tries
    ]
    if rows:
        table(("EXPOSURE", "FROM", "TYPE", "TO", "TIMES", "EXPECTED", "WHY"), rows)
    say(f"{sum(attempted.times for attempted in tries)} connections; none was made")


def _print_checks(checks: Sequence[Check]) -> None:
    rows = [
        (
            check.exposure,
            str(check.vantage or "-"),
            check.target.entry_point if check.target else "-",
            check.target.place if check.target else "policies as planned",
            check.expected.verdict if check.target else "-",
            str(check.observed or "-"),
            check.cause.reason if check.cause else check.result,
        )
        for check in checks
    ]
    table(("EXPOSURE", "FROM", "TYPE", "TO", "EXPECTED", "OBSERVED", "RESULT"), rows)
    # Each cause once, whatever the number of its mismatches; then what could not be judged, and why.
    by_cause = {check.cause: check for check in checks if check.cause is not None}
    for cause, check in by_cause.items():
        say(f"\n{wrapped(f'{cause.reason}: {cause.message}', '', '  ')}")
        say(wrapped(f"expected: {check.expected.verdict}, {check.expected.why}", "  ", "    "))
        if cause.cure:
            say(wrapped(f"cure: {cause.cure}", "  ", "    "))
    not_judged = [check for check in checks if check.result == "not judged"]
    if not_judged:
        say("\nNot judged:")
    for reason in dict.fromkeys("; ".join(check.notes) or check.expected.why for check in not_judged):
        say(wrapped(reason, "  ", "    "))
    counts = Counter(check.result for check in checks)
    results = f"{counts['as expected']} as expected, {counts['mismatch']} mismatches, {counts['not judged']} not judged"
    say(f"\n{results}")
