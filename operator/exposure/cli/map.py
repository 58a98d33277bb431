"""`kubectl exposure map`: every entry point, as a table, as JSON, or as a page with a picture."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from exposure.cli.command import DONE, Command
from exposure.cli.exposure_json import exposure_json
from exposure.cli.inputs import add_input_options, gather
from exposure.cli.terminal import table, warn
from exposure.cli.wording import addresses_text, entry_points_text, from_text, governor_text, ports_text, reasons_text
from exposure.model.exposures import Exposure

HEADER = ("NAMESPACE", "NAME", "TYPE", "ADDRESS", "OPEN", "FROM", "POLICY", "BLIND SPOTS")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "html"),
        default="table",
        help="table (the default), json (a list of entry points), or html (one page with a picture, complete as it is)",
    )
    add_input_options(parser)


def _run(arguments: Namespace) -> int:
    from exposure.cli.resolved import ResolvedSnapshot

    given = gather(arguments)
    exposures = ResolvedSnapshot(given.snapshot, given.namespaces).exposures()
    match arguments.output:
        case "json":
            # ASCII only: what could turn a terminal's head is escaped, whoever named the objects.
            sys.stdout.write(json.dumps([exposure_json(each) for each in exposures], indent=2) + "\n")
        case "html":
            from exposure.cli.page import page

            sys.stdout.write(page(exposures))
        case _:
            print_entry_points(exposures)
    return DONE


def print_entry_points(exposures: Sequence[Exposure]) -> None:
    if not exposures:
        warn("no entry point found: nothing here is reached from outside the cluster through an object that was read")
        return
    table(HEADER, [_row(each) for each in exposures])


def _row(exposure: Exposure) -> tuple[str, ...]:
    return (
        exposure.namespace,
        exposure.name,
        entry_points_text(exposure),
        addresses_text(exposure),
        ports_text(exposure),
        from_text(exposure),
        governor_text(exposure),
        reasons_text(exposure),
    )


COMMAND = Command(
    name="map",
    summary="every entry point of the cluster: what is open, to whom, through which policy, and what nothing holds back",
    description="Every entry point of the cluster: what is open, to whom, through which policy, and its blind spots.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  kubectl exposure map\n  kubectl exposure map -f manifests/ --config cluster.yaml -o json\n"
    "  kubectl exposure map -o html > entry points.html\n",
)
