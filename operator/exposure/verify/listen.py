"""Listens and accepts, for the canary's server pod: `python -m exposure.verify.listen PORT`. Standard library only."""

import asyncio
import sys
from collections.abc import Sequence


async def _serve(port: int) -> None:
    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    # None: every address of both families, as far as there are any.
    server = await asyncio.start_server(accept, None, port)
    await server.serve_forever()


def main(argv: Sequence[str] | None = None) -> int:
    asyncio.run(_serve(int((sys.argv[1:] if argv is None else argv)[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
