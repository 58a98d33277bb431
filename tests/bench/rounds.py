"""The measurements, one function each."""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import population
from tests.bench.api import APPLY, NETWORK_POLICIES, Api, Object, Watch, clock
from tests.bench.process_usage import cpu_seconds, peak_mib, requests, started
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operator_process import NAMESPACE, SERVICE_ACCOUNT, OperatorProcess

PATIENCE_SECONDS = 120.0
BARE_WRITER = Path(__file__).with_name("bare_writer.py")


@dataclass(frozen=True, slots=True)
class Cold:
    """One start of the operator. Seconds since the start of its process, CPU in seconds, memory in MiB."""

    seconds: float
    first_list: float
    last_list: float
    first_write: float
    cpu_policies: float
    reported: float
    cpu_reported: float
    peak: float
    load: float


@dataclass(frozen=True, slots=True)
class Bare:
    """One run of the bare writer. `seconds` from its first request, `process_seconds` from the start of its process."""

    seconds: float
    process_seconds: float
    load: float


@dataclass(slots=True)
class Bench:
    """What the rounds share."""

    cluster: ControlPlane
    api: Api
    policies: Watch
    exposures: Watch
    teams: list[str]
    services: list[Object]
    flags: tuple[str, ...] = ()
    manifests: list[tuple[str, Object]] = field(default_factory=list)

    @property
    def expected_policies(self) -> int:
        """One for each Service, and a default-deny in each namespace."""
        return len(self.services) + len(self.teams)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[OperatorProcess]:
        with tempfile.TemporaryDirectory(prefix="exposure-bench-") as folder:
            config = Path(folder) / "config.yaml"
            config.write_text(population.CONFIG)
            flags = ("--config", str(config), *self.flags)
            process = OperatorProcess(self.cluster, Path(folder), leader_elect=True, flags=flags)
            await asyncio.to_thread(process.start)
            try:
                yield process
            finally:
                await asyncio.to_thread(process.stop)

    async def cold_start(self) -> Cold:
        """From the start of the process until the watch has seen every policy, and then until all is reported."""
        load, mark = os.getloadavg()[0], self.cluster.audit_mark()
        async with self.operator() as process:
            pid = await _pid(process)
            began = started(pid)
            ended = await self._all_policies(process)
            cpu_policies = cpu_seconds(pid)
            await self.exposures.until(len(self.services), PATIENCE_SECONDS)
            await self._settled(process)
            reported = max(self.exposures.seen.values())
            asked = requests(self.cluster, mark)
            cold = Cold(
                seconds=ended - began,
                first_list=asked.first_list - began,
                last_list=asked.last_list - began,
                first_write=asked.first_write - began,
                cpu_policies=cpu_policies,
                reported=reported - began,
                cpu_reported=cpu_seconds(pid),
                peak=peak_mib(pid),
                load=load,
            )
        if not self.manifests:
            await self._remember()
        return cold

    async def _all_policies(self, process: OperatorProcess) -> float:
        try:
            return await self.policies.until(self.expected_policies, PATIENCE_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{process.tail()}") from error

    async def bare(self) -> Bare:
        """The same policies, written by the bare writer."""
        load = os.getloadavg()[0]
        token = await asyncio.to_thread(self.cluster.service_account_token, NAMESPACE, SERVICE_ACCOUNT)
        lines = "".join(f"{json.dumps(manifest)}\n" for manifest in self.manifests)
        began = clock()
        writer = await asyncio.create_subprocess_exec(
            sys.executable,
            *(str(BARE_WRITER), self.cluster.url, str(self.cluster.ca_file)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(writer.communicate(f"{token}\n{lines}".encode()), PATIENCE_SECONDS)
        if writer.returncode != 0:
            raise RuntimeError(f"the bare writer ended with {writer.returncode}")
        first = float(output.decode().split()[1])
        ended = await self.policies.until(self.expected_policies, PATIENCE_SECONDS)
        return Bare(seconds=ended - first, process_seconds=ended - began, load=load)

    async def clear(self) -> None:
        await population.clear(self.api, self.teams)
        await self.policies.until(0, PATIENCE_SECONDS)
        await self.exposures.until(0, PATIENCE_SECONDS)

    async def changes(self, count: int, chance: random.Random) -> list[float]:
        """For each new Service, milliseconds from the return of the create until its policy is seen by watch.

        Negative where the watch was faster than the answer to the create.
        """
        milliseconds: list[float] = []
        for number in range(count):
            team = chance.choice(self.teams)
            service = population.service(team, f"new-{number:03}")
            await self.api.call("POST", f"/api/v1/namespaces/{team}/services", service)
            created = clock()
            seen_at = await self.policies.until_seen([(team, f"exposure-to-new-{number:03}")], PATIENCE_SECONDS)
            milliseconds.append((seen_at - created) * 1000)
            # Each one alone: the report of this change is out before the next one comes.
            await self.exposures.until_seen([(team, f"service-new-{number:03}")], PATIENCE_SECONDS)
            await asyncio.sleep(chance.uniform(0.03, 0.08))
        return milliseconds

    async def bare_changes(self, count: int, chance: random.Random) -> list[float]:
        """The least that any writer takes: for each new policy, milliseconds from sending it until the watch saw it."""
        milliseconds: list[float] = []
        for number in range(count):
            policy = {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"namespace": "default", "name": f"bare-{number:03}"},
                "spec": {"podSelector": {"matchLabels": {"app": "none"}}, "policyTypes": ["Ingress"]},
            }
            path = f"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/bare-{number:03}?fieldManager=bare"
            sent = clock()
            await self.api.call("PATCH", path, policy, APPLY)
            seen_at = await self.policies.until_seen([("default", f"bare-{number:03}")], PATIENCE_SECONDS)
            milliseconds.append((seen_at - sent) * 1000)
            await asyncio.sleep(chance.uniform(0.03, 0.08))
        return milliseconds

    async def idle(self, process: OperatorProcess, seconds: float) -> tuple[dict[str, int], int, float]:
        """Writes by resource, those that are not of the lease, and CPU seconds, in so many seconds without changes."""
        await self._settled(process)
        mark, before = self.cluster.audit_mark(), cpu_seconds(process.pid)
        await asyncio.sleep(seconds)
        asked = requests(self.cluster, mark)
        return asked.writes, asked.other_writes, cpu_seconds(process.pid) - before

    async def _settled(self, process: OperatorProcess) -> None:
        """No write for two seconds."""
        deadline = clock() + PATIENCE_SECONDS
        while clock() < deadline:
            mark = self.cluster.audit_mark()
            await asyncio.sleep(2)
            if not requests(self.cluster, mark).other_writes:
                return
        raise TimeoutError(f"the operator still writes:\n{process.tail()}")

    async def _remember(self) -> None:
        """What the operator has written becomes what the bare writer writes."""
        for policy in await self.api.items(NETWORK_POLICIES):
            head = {
                key: value
                for key, value in policy["metadata"].items()
                if key in ("namespace", "name", "labels", "annotations", "ownerReferences")
            }
            path = f"/apis/networking.k8s.io/v1/namespaces/{head['namespace']}/networkpolicies/{head['name']}"
            manifest = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": head}
            self.manifests.append((path, {**manifest, "spec": policy["spec"]}))


async def _pid(process: OperatorProcess) -> int:
    for _ in range(200):
        try:
            return process.pid
        except (IndexError, FileNotFoundError):
            await asyncio.sleep(0.005)
    raise RuntimeError(f"the operator did not start:\n{process.tail()}")


def quantile(values: Sequence[float], part: float) -> float:
    """The nearest-rank quantile, so that it is one of the values."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(part * 100) * len(ordered) // 100) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
