"""`kubectl exposure verify`: real connections, expected against seen."""

import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from exposure.addresses import address
from exposure.cli.command import DIFFERENT, DONE, Command, Wrong
from exposure.cli.inputs import Input, add_input_options, find_service, gather
from exposure.cli.terminal import say, table, warn, wrapped
from exposure.verify.values import PLACES, Check, Place

if TYPE_CHECKING:
    from exposure.model.exposures import Exposure
    from exposure.verify.context import VerificationContext
    from exposure.verify.pods import ProbePods
    from exposure.verify.run import Try

MOST_AT_ONCE, MOST_REPEATS, LONGEST_SECONDS = 64, 9, 30.0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "service", nargs="*", metavar="[NAMESPACE/]SERVICE", help="the entry points of these Services only"
    )
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
        "--parallel", type=_number(MOST_AT_ONCE), default=16, metavar="N", help="connections at once (%(default)s)"
    )
    parser.add_argument(
        "--repeat",
        type=_number(MOST_REPEATS),
        default=4,
        metavar="N",
        help="connections where it matters which of several pods answers (%(default)s); else one",
    )
    parser.add_argument("--source", type=_address, metavar="ADDRESS",
                        help="the address that the cluster sees of this machine, where that is translated")  # fmt: skip
    parser.add_argument("--image", metavar="IMAGE", help="for the probe pods (default: the running operator's own)")
    parser.add_argument("--probe-namespace", default="", metavar="NAME",
                        help="where the pod of other-namespace runs (default: the operator's)")  # fmt: skip
    parser.add_argument("--node", default="", metavar="NAME", help="run the node's probe there (default: anywhere)")
    add_input_options(parser)


def _run(arguments: Namespace) -> int:
    from exposure.verify.context import VerificationContext
    from exposure.verify.pods import ProbeFailed
    from exposure.verify.report import as_json, as_junit
    from exposure.verify.run import Options, Verification, mismatches

    given = gather(arguments)
    places = arguments.places or (PLACES[:3] if given.live else PLACES[:1])
    inside = [each for each in places if each != "outside"]
    if inside and not given.live:
        raise Wrong(f"probe pods need a cluster, and -f asks none: leave out {', '.join(inside)}")
    if arguments.node and arguments.node not in given.snapshot.nodes:
        raise Wrong(f"there is no Node {arguments.node}")
    context = VerificationContext(given.snapshot, given.namespaces)
    exposures = _chosen(context, given, arguments.service)
    options = Options(
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
    # Whoever ends this command ends its pods with it, not only by Ctrl-C.
    before = signal.signal(signal.SIGTERM, _interrupt)
    again = (lambda: VerificationContext(gather(arguments).snapshot, given.namespaces)) if given.live else None
    try:
        checks = Verification(context, exposures, options, pods, again).run()
    except ProbeFailed as error:
        raise Wrong(f"{error}. (--from outside needs no pods)") from error
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
            _print(checks)
    return DIFFERENT if mismatches(checks) else DONE


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _chosen(context: "VerificationContext", given: Input, services: Sequence[str]) -> "list[Exposure]":
    """The entry points asked about: all, or those that lead to one of the named Services."""
    if not services:
        return list(context.exposures)
    wanted = {find_service(given, name).ref for name in services}
    everywhere = sorted(context.by_name.items())
    return [each for _, each in everywhere if any(backend.service in wanted for backend in each.backends)]


def _probe_pods(arguments: Namespace) -> "ProbePods":
    from exposure.cli.live import Cluster
    from exposure.verify.pods import ProbePods

    class Sender(Cluster):
        """A connection that also writes: the probe pods, and nothing else."""

        def send(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
            from exposure.cli.live import TIMEOUT, _json

            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            request = self._client.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            try:
                response = self._client.call_api(*request, _request_timeout=TIMEOUT)
                return response.status, _json(response.read())
            except OSError as error:
                raise Wrong(f"the cluster does not answer: {error}") from error

    cluster = Sender(arguments.kubeconfig, arguments.context)
    image = arguments.image
    if not image:
        home = arguments.operator_namespace
        status, deployment = cluster.send("GET", f"/apis/apps/v1/namespaces/{home}/deployments/exposure-operator", None)
        image = _image(deployment) if status == 200 else ""
        if not image:
            raise Wrong(
                f"no image for the probe pods: Deployment {home}/exposure-operator cannot be read ({status}); give "
                "--image, or --from outside"
            )
    pods = ProbePods(cluster.send, image, arguments.timeout, arguments.parallel)
    removed = pods.sweep([arguments.probe_namespace or arguments.operator_namespace, "default", "kube-system"])
    if removed:
        warn(f"removed {removed} probe pods that an earlier run had left")
    return pods


def _image(deployment: Any) -> str:
    """The image of the operator's container; empty where there is none."""
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    return str(containers[0].get("image") or "")


def _print_tries(tries: "Sequence[Try]") -> None:
    rows = [
        (
            e.target.exposure,
            str(e.vantage),
            e.target.entry_point,
            e.target.place,
            str(e.times),
            e.expected.verdict,
            e.expected.why,
        )
        for e in tries
    ]
    if rows:
        table(("EXPOSURE", "FROM", "BY", "TO", "TIMES", "EXPECTED", "WHY"), rows)
    say(f"{sum(each.times for each in tries)} connections, none of them made")


def _print(checks: Sequence[Check]) -> None:
    rows = [
        (
            each.exposure,
            str(each.vantage or "-"),
            each.target.entry_point if each.target else "-",
            each.target.place if each.target else "policies as planned",
            each.expected.verdict if each.target else "-",
            str(each.seen or "-"),
            each.finding.reason if each.finding else each.result,
        )
        for each in checks
    ]
    if not rows:
        warn("no entry point found, so there is nothing to verify")
        return
    table(("EXPOSURE", "FROM", "BY", "TO", "EXPECTED", "SEEN", "RESULT"), rows)
    _print_causes(checks)
    counted = {result: sum(each.result == result for each in checks) for result in ("as expected", "mismatch")}
    left = len(checks) - sum(counted.values())
    say(f"\n{counted['as expected']} as expected, {counted['mismatch']} mismatches, {left} not judged")


def _print_causes(checks: Sequence[Check]) -> None:
    """Each cause once with all that it explains, then what could not be judged and why."""
    for each in {c.finding: c for c in checks if c.finding is not None}.values():
        assert each.finding is not None
        say("")
        say(wrapped(f"{each.finding.reason}: {each.finding.message}", "", "  "))
        say(wrapped(f"expected: {each.expected.verdict}, {each.expected.why}", "  ", "    "))
        if each.finding.cure:
            say(wrapped(f"cure: {each.finding.cure}", "  ", "    "))
    reasons = dict.fromkeys(
        "; ".join(each.notes) or each.expected.why for each in checks if each.result == "not judged"
    )
    if reasons:
        say("\nNot judged:")
    for reason in reasons:
        say(wrapped(reason, "  ", "    "))


def _places(text: str) -> tuple[Place, ...]:
    asked = [each.strip() for each in text.split(",") if each.strip()]
    for each in asked:
        if each not in PLACES:
            raise ArgumentTypeError(f"{each} is none of {', '.join(PLACES)}")
    return tuple(place for place in PLACES if place in asked)


def _seconds(text: str) -> float:
    number, unit = (text[:-2], 0.001) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        found = float(number) * unit
    except ValueError:
        raise ArgumentTypeError(f"{text} is no time such as 2s or 500ms") from None
    if not 0 < found <= LONGEST_SECONDS:
        raise ArgumentTypeError(f"{text} is not between 1ms and {LONGEST_SECONDS:.0f}s")
    return found


def _number(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdigit() or not 1 <= int(text) <= most:
            raise ArgumentTypeError(f"{text} is not between 1 and {most}")
        return int(text)

    return parse


def _address(text: str) -> str:
    if address(text) is None:
        raise ArgumentTypeError(f"{text} is no IP address")
    return text


COMMAND = Command(
    name="verify",
    summary="real connections to every entry point and to the pods behind it, expected against seen",
    description="Connects to each entry point from where this command runs, and to the pods behind it from short-lived pods\n"
    "in the cluster; holds what came of it against the policies that should stand and the truth table, and names\n"
    "the cause where the two differ. Sends nothing over TCP, and one empty datagram over UDP.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  kubectl exposure verify --dry-run\n  kubectl exposure verify shop/web --from outside\n"
    "  kubectl exposure verify -n shop -o junit > verify.xml\n\n"
    "exit status: 0 all as expected (what cannot be judged is no failure); 1 a mismatch; 2 wrong use\n",
)
