"""Cold reads from Google Secret Manager: what we add to Google's own asynchronous client; and a start of 1,000 names.

Against a stub in a process of its own that answers as fast as ``grpc.aio`` can. ``bare`` is
``SecretManagerServiceAsyncClient.access_secret_version`` as its documentation shows it; it checks no checksum.
``provider`` is ours alone, and ``client`` a whole ``SecretsClient.get`` of a name never read before. The start reads
1,000 names at once into a client that has just been opened, in a process of its own, whose peak of memory is told
beside that of the bare client's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator

from benchmarks.beside_bare import Read, cold, show, stub

NAMES = [f"warm-{number}" for number in range(1_000)]


# -- the stub, a process of its own


async def _serve() -> None:
    import google_crc32c
    import grpc
    from google.cloud.secretmanager_v1 import types

    calls = 0
    data = b"canary-value"

    async def access(request: types.AccessSecretVersionRequest, _: object) -> types.AccessSecretVersionResponse:
        nonlocal calls
        calls += 1
        payload = {"data": data, "data_crc32c": google_crc32c.value(data)}
        return types.AccessSecretVersionResponse(name=request.name.replace("latest", "1"), payload=payload)

    async def count(_: bytes, __: object) -> bytes:
        return str(calls).encode()

    handlers = {
        "AccessSecretVersion": grpc.unary_unary_rpc_method_handler(
            access, types.AccessSecretVersionRequest.deserialize, types.AccessSecretVersionResponse.serialize
        ),
        "Count": grpc.unary_unary_rpc_method_handler(count),
    }
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


# -- the rows


def _settings(address: str) -> dict[str, str]:
    return {
        "auth_method": "none",
        "google_endpoint": f"http://{address}",
        "google_secret_manager_project_id": "benchmark",
    }


@contextlib.asynccontextmanager
async def _bare(address: str) -> AsyncIterator[Read]:
    import grpc
    from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcAsyncIOTransport,
    )

    transport = SecretManagerServiceGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(address))
    client = SecretManagerServiceAsyncClient(transport=transport)

    async def read(name: str) -> object:
        answer = await client.access_secret_version(name=f"projects/benchmark/secrets/{name}/versions/latest")
        return answer.payload.data.decode()

    yield read
    await transport.close()


@contextlib.asynccontextmanager
async def _provider(address: str) -> AsyncIterator[Read]:
    from asyncsecrets.providers.google import GoogleSecretManagerProvider

    provider = GoogleSecretManagerProvider.from_settings(_settings(address), {})
    await provider.open()
    yield provider.get
    await provider.aclose()


@contextlib.asynccontextmanager
async def _client(address: str) -> AsyncIterator[Read]:
    from asyncsecrets import SecretsClient

    general = {"key_management_system": "google_secret_manager", "key_management_settings": _settings(address)}
    async with SecretsClient.from_config({"general_settings": general}, environ={}) as client:
        yield client.get


ROWS = {"bare": _bare, "provider": _provider, "client": _client}


async def _start(row: str, address: str) -> list[float]:
    """Seconds for 1,000 names at once, and the process's peak of memory in MiB."""
    async with ROWS[row](address) as read:
        began = time.perf_counter()
        await asyncio.gather(*(read(name) for name in NAMES))
        taken = time.perf_counter() - began
    return [taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]


def _starts(row: str, address: str, processes: int = 5) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.google", "start", row, address]
    runs = [json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) for _ in range(processes)]
    return [statistics.median(column) for column in zip(*runs, strict=True)]


def main() -> None:
    """Print both tables."""
    with stub("benchmarks.google") as address:
        show(asyncio.run(cold(ROWS, address)))
        print("\n1,000 names at once, in a new process (medians of 5)")
        print(f"{'':12}{'seconds':>10}{'peak MiB':>10}")
        for row in ("bare", "client"):
            seconds, peak = _starts(row, address)
            print(f"{row:12}{seconds:10.2f}{peak:10.1f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(_serve())
    elif sys.argv[1:2] == ["start"]:
        print(json.dumps(asyncio.run(_start(*sys.argv[2:]))))
    else:
        main()
