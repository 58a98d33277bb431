"""`kubectl exposure map`: every entry point, as a table, as JSON, or as a page with a picture."""

import sys
from argparse import Namespace

from exposure.cli import wording
from exposure.cli.command import DONE
from exposure.cli.inputs import gather
from exposure.cli.page import page
from exposure.cli.terminal import say_json, table, warn
from exposure.model.exposures import Exposure
from exposure.plan.resolved import ResolvedSnapshot
from exposure.render.exposures import exposure_json

HEADER = ("NAMESPACE", "NAME", "TYPE", "ADDRESS", "OPEN", "FROM", "POLICY", "BLIND SPOTS")


def run(arguments: Namespace) -> int:
    given = gather(arguments)
    exposures = ResolvedSnapshot(given.snapshot).exposures(given.namespaces)
    match arguments.output:
        case "json":
            say_json([exposure_json(exposure) for exposure in exposures])
        case "html":
            sys.stdout.write(page(exposures))
        case _ if exposures:
            table(HEADER, [_row(exposure) for exposure in exposures])
        case _:
            warn(wording.NO_ENTRY_POINTS)
    return DONE


def _row(exposure: Exposure) -> tuple[str, ...]:
    return (
        exposure.namespace,
        exposure.name,
        wording.entry_points(exposure),
        wording.addresses(exposure),
        wording.ports(exposure),
        wording.callers(exposure.sources),
        wording.policy(exposure),
        wording.reasons(exposure),
    )
