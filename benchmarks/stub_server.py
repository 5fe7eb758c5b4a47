"""A server that answers every request with one Vault-shaped secret, as fast as an asyncio protocol can.

It is what the clients are measured against: it costs little, keeps no state, and is the same for all. Run as a
process of its own, ``python -m benchmarks.stub_server``, it prints its port and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

_BODY = json.dumps(
    {
        "request_id": "00000000-0000-0000-0000-000000000000",
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": {
            "data": {"key": "sk-canary-0123456789abcdef0123456789abcdef"},
            "metadata": {
                "created_time": "2026-01-01T00:00:00.000000000Z",
                "custom_metadata": None,
                "deletion_time": "",
                "destroyed": False,
                "version": 1,
            },
        },
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    },
    separators=(",", ":"),  # as Vault and OpenBao write it
).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(_BODY)).encode()
    + b"\r\n\r\n"
    + _BODY
)


class _Protocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        requests = (self._rest + data).split(b"\r\n\r\n")  # requests without bodies, so each ends its headers
        self._rest = requests.pop()
        self._transport.write(_ANSWER * len(requests))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Protocol, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    closed = loop.create_future()
    threading.Thread(
        target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(closed.set_result, None)), daemon=True
    ).start()
    await closed


@contextlib.contextmanager
def stub_server() -> Iterator[str]:
    """Run the server in a process of its own; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.stub_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()
            process.wait(timeout=5)


if __name__ == "__main__":
    asyncio.run(_serve())
