"""The least that writing these policies takes: no watch, no decision, server-side apply, 64 requests at once.

    python bare_writer.py URL CA_FILE < LINES

Standard input: the bearer token, then a line of JSON [path, manifest] for each policy. It prints one line when it
begins to write and one when every answer is in, each with the seconds since boot.
"""

import asyncio
import json
import ssl
import sys
import time

import aiohttp

AT_ONCE = 64


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def main(url: str, ca_file: str) -> None:
    token = sys.stdin.readline().strip()
    waiting = iter([json.loads(line) for line in sys.stdin])
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=ssl.create_default_context(cafile=ca_file))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/apply-patch+yaml"}
    query = {"fieldManager": "exposure-operator", "force": "true"}
    async with aiohttp.ClientSession(url, connector=connector, headers=headers) as session:
        print("begins", now(), flush=True)

        async def worker() -> None:
            for path, manifest in waiting:
                async with session.patch(path, params=query, data=json.dumps(manifest).encode()) as answer:
                    text = await answer.read()
                    if answer.status >= 300:
                        raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(worker())
        print("ended", now(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
