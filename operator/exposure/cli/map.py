"""`kubectl exposure map`: every entry point, as a table, as JSON, or as a page with a picture."""

import sys
from argparse import ArgumentParser, Namespace

from exposure.cli.command import DONE, Command
from exposure.cli.exposure_json import exposure_json, json_text
from exposure.cli.inputs import add_input_options, gather
from exposure.cli.terminal import table, warn
from exposure.cli.wording import (
    NO_ENTRY_POINTS,
    addresses_text,
    entry_points_text,
    from_text,
    governor_text,
    ports_text,
    reasons_text,
)
from exposure.model.exposures import Exposure

HEADER = ("NAMESPACE", "NAME", "TYPE", "ADDRESS", "OPEN", "FROM", "POLICY", "BLIND SPOTS")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "html"),
        default="table",
        help="table (the default), json (a list of entry points), or html (one page with a picture, self-contained)",
    )
    add_input_options(parser)


def _run(arguments: Namespace) -> int:
    from exposure.plan.resolved import ResolvedSnapshot

    given = gather(arguments)
    exposures = ResolvedSnapshot(given.snapshot).exposures(given.namespaces)
    match arguments.output:
        case "json":
            sys.stdout.write(json_text([exposure_json(exposure) for exposure in exposures]))
        case "html":
            from exposure.cli.page import page

            sys.stdout.write(page(exposures))
        case _ if exposures:
            table(HEADER, [_row(exposure) for exposure in exposures])
        case _:
            warn(NO_ENTRY_POINTS)
    return DONE


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
    summary="every entry point of the cluster: what is open, to whom, by which policy, and its blind spots",
    description="Every entry point of the cluster: what is open, to whom, by which policy, and its blind spots.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  kubectl exposure map\n  kubectl exposure map -f manifests/ --config cluster.yaml -o json\n"
    "  kubectl exposure map -o html > entry-points.html\n",
)
