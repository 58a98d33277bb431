"""The bench.

    python -m tests.bench             2,000 Services in 100 namespaces, three rounds; writes build/bench.json
    python -m tests.bench --services 200 --namespaces 10 --rounds 1 --idle 10

Everything runs on this machine: etcd, API server, operator, bare writer and the watch that is the clock. So compare
ratios between machines, not seconds.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.bench import population
from tests.bench.api import NETWORK_POLICIES, Api, Watch
from tests.bench.report import REPORT, Result, fill_readme, print_table, write
from tests.bench.rounds import Bare, Bench, Cold
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import install_crds
from tests.cluster.operator_process import install_rights

EXPOSURES = "/apis/exposure.dev/v1alpha1/exposures"
#: Two for each Service are more than the default range holds. No process listens on them.
NODE_PORTS = ("--service-node-port-range=10000-60000",)


async def measure(cluster: ControlPlane, arguments: argparse.Namespace) -> Result:
    teams = population.namespaces(arguments.namespaces)
    services = population.services(arguments.services, teams)
    async with Api(cluster) as api:
        say(f"{arguments.services} Services of type LoadBalancer in {arguments.namespaces} namespaces")
        await population.populate(api, teams, services)
        async with Watch(api, NETWORK_POLICIES) as policies, Watch(api, EXPOSURES) as exposures:
            bench = Bench(cluster, api, policies, exposures, teams, services)
            colds, bares = await rounds(bench, arguments.rounds)
            async with bench.operator() as process:
                await policies.until(bench.expected_policies, 120)
                await exposures.until(len(services), 120)
                say(f"idle for {arguments.idle} s")
                idle = await bench.idle(process, arguments.idle)
                say(f"{arguments.changes} new Services, one after the other")
                changes = await bench.changes(arguments.changes, random.Random(1))
                bare_changes = await bench.bare_changes(arguments.changes, random.Random(1))
            return Result.of(arguments, colds, bares, changes, bare_changes, idle)


async def rounds(bench: Bench, count: int) -> tuple[list[Cold], list[Bare]]:
    """The operator and the bare writer in turn, each on a server that holds none of the policies."""
    colds: list[Cold] = []
    bares: list[Bare] = []
    for number in range(count):
        for operator in (True, False) if number % 2 == 0 else (False, True):
            if colds or bares:
                await bench.clear()
            if operator:
                cold = await bench.cold_start()
                colds.append(cold)
                say(f"operator: all policies after {cold.seconds:.2f} s, reported after {cold.reported:.2f} s")
            else:
                bare = await bench.bare()
                bares.append(bare)
                say(f"bare writer: {bare.seconds:.2f} s from its first request")
    await bench.clear()
    return colds, bares


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--namespaces", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3, help="cold starts, and as many runs of the bare writer")
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--idle", type=float, default=60, help="seconds")
    parser.add_argument("--output", type=Path, default=REPORT, help="default: build/bench.json")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    parser.add_argument("--keep", action="store_true", help="leave the cluster's data and logs, and say where they are")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="exposure-bench-") as folder:
        if arguments.keep:
            folder = tempfile.mkdtemp(prefix="exposure-bench-kept-")
            say(f"logs and data in {folder}")
        # No controllers: what they would add (EndpointSlices) is part of the population, so that nothing else runs.
        with ControlPlane(Path(folder) / "cluster", controllers=False, apiserver_flags=NODE_PORTS) as cluster:
            install_crds(cluster)
            install_rights(cluster)
            result = asyncio.run(measure(cluster, arguments))
    write(result, arguments.output)
    print_table(result)
    if arguments.readme:
        fill_readme(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
