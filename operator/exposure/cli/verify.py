"""`kubectl exposure verify`: real connections, what is expected of them, and what is observed."""

import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from exposure.addresses import address
from exposure.cli.command import DIFFERENT, DONE, Command, UsageError
from exposure.cli.inputs import Input, add_input_options, gather, number
from exposure.cli.selection import FORMS, METAVAR, named_object
from exposure.cli.terminal import say, table, warn, wrapped
from exposure.cli.wording import NO_ENTRY_POINTS
from exposure.verify.values import PLACES, Check, Place

if TYPE_CHECKING:
    from exposure.model.exposures import Exposure
    from exposure.verify.context import VerificationContext
    from exposure.verify.pods import ProbePods
    from exposure.verify.run import Try

MOST_AT_ONCE, MOST_REPEATS, LONGEST_SECONDS = 64, 9, 30.0

FILES_WITHOUT_PODS = "Probe pods need a cluster, and -f asks none. Leave out {places} of --from."
NO_SUCH_NODE = "There is no Node {name}. kubectl get nodes lists those that --node can name."
PROBE_FAILED = "{error} --from outside needs no pods."
NO_IMAGE = (
    "There is no image for the probe pods: Deployment {name} cannot be read ({reason}). Give --image, or --from "
    "outside, which needs no pods."
)
LEFT_OVER = "{count} probe pods that an earlier run had left are deleted."
NO_SUCH_PLACE = "{place} is none of {places}"
NO_TIME = "{text} is no time such as 2s or 500ms"
TIME_OUT_OF_RANGE = "{text} is not between 1ms and {longest:.0f}s"
NO_ADDRESS = "{text} is no IP address"
TRIED = "{count} connections, none of them made"
JUDGED = "{as_expected} as expected, {mismatches} mismatches, {not_judged} not judged"


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="*", metavar=METAVAR, help=f"only the entry points of these objects: {FORMS}")
    parser.add_argument(
        "--from",
        dest="places",
        type=_places,
        metavar="PLACES",
        help=f"where to connect from, any of {','.join(PLACES)}; outside is where this command runs, the others are "
        "short-lived pods (default: outside,other-namespace,same-namespace, and with -f only outside). node is a "
        "hostNetwork pod in kube-system",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what it would connect to, from where; do nothing")
    parser.add_argument("-o", "--output", choices=("table", "json", "junit"), default="table", help="(%(default)s)")
    parser.add_argument(
        "--timeout", type=_seconds, default=2.0, metavar="2s", help="for one connection (2s, 500ms; default 2s)"
    )
    parser.add_argument(
        "--parallel", type=number(1, MOST_AT_ONCE), default=16, metavar="N", help="connections at once (%(default)s)"
    )
    parser.add_argument(
        "--repeat",
        type=number(1, MOST_REPEATS),
        default=4,
        metavar="N",
        help="connections to a target behind which several pods may answer (%(default)s); else one",
    )
    parser.add_argument(
        "--source",
        type=_address,
        metavar="ADDRESS",
        help="the address that the cluster sees of this machine, where it is translated on the way",
    )
    parser.add_argument("--image", metavar="IMAGE", help="for the probe pods (default: the running operator's own)")
    parser.add_argument(
        "--probe-namespace",
        default="",
        metavar="NAME",
        help="where the pod of other-namespace runs (default: the operator's namespace)",
    )
    parser.add_argument("--node", default="", metavar="NAME", help="where the pod of node runs (default: any node)")
    add_input_options(parser)


def _run(arguments: Namespace) -> int:
    from exposure.verify.context import VerificationContext
    from exposure.verify.pods import ProbeFailed
    from exposure.verify.report import as_json, as_junit
    from exposure.verify.run import Verification, VerifyOptions, mismatches

    given = gather(arguments)
    places = arguments.places or (PLACES[:3] if given.live else PLACES[:1])
    inside = [place for place in places if place != "outside"]
    if inside and not given.live:
        raise UsageError(FILES_WITHOUT_PODS.format(places=",".join(inside)))
    if arguments.node and arguments.node not in given.snapshot.nodes:
        raise UsageError(NO_SUCH_NODE.format(name=arguments.node))
    context = VerificationContext(given.snapshot)
    exposures = _chosen(context, given, arguments.name)
    options = VerifyOptions(
        places,
        arguments.timeout,
        arguments.parallel,
        arguments.repeat,
        arguments.source or "",
        arguments.probe_namespace,
        arguments.node,
    )
    if arguments.dry_run:
        _print_tries(Verification(context, exposures, options).tries())
        return DONE
    pods = _probe_pods(arguments) if inside and exposures else None
    # SIGTERM must delete the probe pods as well, not only Ctrl-C.
    before = signal.signal(signal.SIGTERM, _interrupt)
    read_again = (lambda: VerificationContext(gather(arguments).snapshot)) if given.live else None
    try:
        checks = Verification(context, exposures, options, pods, read_again).run()
    except ProbeFailed as error:
        raise UsageError(PROBE_FAILED.format(error=error)) from error
    finally:
        if pods is not None:
            pods.close()
        signal.signal(signal.SIGTERM, before)
    match arguments.output:
        case "json":
            sys.stdout.write(as_json(checks))
        case "junit":
            sys.stdout.write(as_junit(checks))
        case _:
            _print_checks(checks)
    return DIFFERENT if mismatches(checks) else DONE


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _chosen(context: "VerificationContext", given: Input, names: Sequence[str]) -> "list[Exposure]":
    """The entry points to verify: of the namespaces asked for, or those that belong to one of the named objects."""
    if not names:
        return context.exposures(given.namespaces)
    every = context.exposures(given.snapshot.namespaces)
    named = [named_object(given, every, name) for name in names]
    return [exposure for exposure in every if any(by_name.owns(exposure) for by_name in named)]


def _probe_pods(arguments: Namespace) -> "ProbePods":
    from exposure.cli.live import Cluster
    from exposure.verify.pods import ProbePods

    cluster = Cluster(arguments.kubeconfig, arguments.context)

    def send(method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        response = cluster.request(method, path, body)
        return response.status, response.body or {}

    image, home = arguments.image, arguments.operator_namespace
    if not image:
        response = cluster.request("GET", f"/apis/apps/v1/namespaces/{home}/deployments/exposure-operator")
        image = _image(response.body or {}) if response.status == 200 else ""
        if not image:
            raise UsageError(NO_IMAGE.format(name=f"{home}/exposure-operator", reason=response.message))
    pods = ProbePods(send, image, arguments.timeout, arguments.parallel)
    removed = pods.sweep([arguments.probe_namespace or home, "default", "kube-system"])
    if removed:
        warn(LEFT_OVER.format(count=removed))
    return pods


def _image(deployment: Any) -> str:
    """The image of the operator's container; empty where there is none."""
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    return str(containers[0].get("image") or "")


def _print_tries(tries: "Sequence[Try]") -> None:
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
    say(TRIED.format(count=sum(attempted.times for attempted in tries)))


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
    if not rows:
        warn(NO_ENTRY_POINTS)
        return
    table(("EXPOSURE", "FROM", "TYPE", "TO", "EXPECTED", "OBSERVED", "RESULT"), rows)
    _print_causes(checks)
    as_expected, mismatches = (
        sum(check.result == result for check in checks) for result in ("as expected", "mismatch")
    )
    not_judged = len(checks) - as_expected - mismatches
    say(f"\n{JUDGED.format(as_expected=as_expected, mismatches=mismatches, not_judged=not_judged)}")


def _print_causes(checks: Sequence[Check]) -> None:
    """Each cause once, whatever the number of its mismatches; then what could not be judged, and why."""
    by_cause = {check.cause: check for check in checks if check.cause is not None}
    for cause, check in by_cause.items():
        say("")
        say(wrapped(f"{cause.reason}: {cause.message}", "", "  "))
        say(wrapped(f"expected: {check.expected.verdict}, {check.expected.why}", "  ", "    "))
        if cause.cure:
            say(wrapped(f"cure: {cause.cure}", "  ", "    "))
    not_judged = [check for check in checks if check.result == "not judged"]
    if not_judged:
        say("\nNot judged:")
    for reason in dict.fromkeys("; ".join(check.notes) or check.expected.why for check in not_judged):
        say(wrapped(reason, "  ", "    "))


def _places(text: str) -> tuple[Place, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PLACES:
            raise ArgumentTypeError(NO_SUCH_PLACE.format(place=name, places=", ".join(PLACES)))
    return tuple(place for place in PLACES if place in names)


def _seconds(text: str) -> float:
    number, unit = (text[:-2], 0.001) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        seconds = float(number) * unit
    except ValueError:
        raise ArgumentTypeError(NO_TIME.format(text=text)) from None
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ArgumentTypeError(TIME_OUT_OF_RANGE.format(text=text, longest=LONGEST_SECONDS))
    return seconds


def _address(text: str) -> str:
    if address(text) is None:
        raise ArgumentTypeError(NO_ADDRESS.format(text=text))
    return text


COMMAND = Command(
    name="verify",
    summary="real connections to every entry point and to the pods behind it: expected, and observed",
    description="Connects to each entry point from where this command runs, and to the pods behind it from short- "
    "ived pods in the cluster. Compares what comes of it with the policies that should stand and with the truth "
    "table, and names the cause where the two differ. Sends nothing over TCP, and one empty datagram over UDP.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  kubectl exposure verify --dry-run\n  kubectl exposure verify shop/web --from outside\n"
    "  kubectl exposure verify -n shop -o junit > verify.xml\n\n"
    "exit status: 0 all as expected (what cannot be judged is no failure); 1 a mismatch; 2 wrong use\n",
)
