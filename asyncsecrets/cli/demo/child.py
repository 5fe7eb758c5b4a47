"""The demo's server process: the Vault-compatible fake, steered by one JSON object a line on stdin.

It ends with its stdin: when the demo ends, in whatever way, nothing stays behind. The root token comes in over stdin,
not as an argument, which every process could read.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from asyncsecrets.testing.vault_server import VaultServer

__all__ = ["act"]


async def act(server: VaultServer, order: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one order and return the answer."""
    match order["do"]:
        case "start":
            await server.start()
        case "kill":
            server.kill()
        case "write":
            server.write_secret(order["name"], {"key": order["value"]})
        case "count":
            return {"count": server.count("GET", f"/v1/secret/data/{order['name']}")}
    return {"url": server.url}


async def _serve() -> None:
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    server = VaultServer(root_token=json.loads(await orders.readline())["token"])
    try:
        while line := await orders.readline():
            answer = await act(server, json.loads(line))
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        await server.aclose()
        transport.close()


if __name__ == "__main__":
    asyncio.run(_serve())
