"""Secrets Manager: how many calls of the API reading takes, what they cost, and how long a reader waits.

First of all what a start costs: the longest that the event loop is kept while the client starts and reads its first
secret (importing the SDK included; base packages were imported before), as time on the clock and as time that this
process spent computing, because other processes may keep it from running; the median of seven processes.

Against a stub that answers each call after 5 ms, as a near region does. Beside us: aioboto3 with one client for all
reads, aioboto3 with a client for each read (what many programs do), and AWS's own cache for Python,
aws-secretsmanager-caching, if it is installed. Cold: 1,000 secrets that nobody has read yet, at once. Warm: 100
secrets read over and over. Dollars: $0.05 for 10,000 calls, AWS's list price.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from urllib.request import urlopen

from aiohttp import web

from asyncsecrets import SecretsClient

Read = Callable[[str], Awaitable[object]]

LATENCY = 0.005
COLD = [f"cold-{number}" for number in range(1_000)]
WARM = [f"warm-{number}" for number in range(100)]
PER_CALL = 0.05 / 10_000
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "AKIABENCHMARK",
    "AWS_SECRET_ACCESS_KEY": "canary",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


# -- the stub, a process of its own


def _entry(name: str) -> dict[str, object]:
    arn = f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf"
    version = "00000000-0000-4000-8000-000000000000"
    stages = ["AWSCURRENT"]
    return {"ARN": arn, "Name": name, "VersionId": version, "SecretString": f"canary-{name}", "VersionStages": stages}


async def _serve() -> None:
    calls = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal calls
        if request.method == "GET":
            return web.json_response(calls)
        calls += 1
        body = await request.json()
        await asyncio.sleep(LATENCY)
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        if operation == "BatchGetSecretValue":
            document: dict[str, object] = {"SecretValues": [_entry(name) for name in body["SecretIdList"]]}
        elif operation == "DescribeSecret":
            entry = _entry(body["SecretId"])
            document = {**entry, "VersionIdsToStages": {entry["VersionId"]: ["AWSCURRENT"]}}
        else:
            document = _entry(body["SecretId"])
        return web.json_response(document, content_type="application/x-amz-json-1.1")

    app = web.Application()
    app.router.add_route("*", "/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    closed = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    end = threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(closed.set_result, None)))
    end.daemon = True
    end.start()
    await closed


@contextlib.contextmanager
def _stub() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.aws", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()
            process.wait(timeout=5)


def _calls(url: str) -> int:
    with urlopen(url) as answer:
        return int(json.load(answer))


# -- a start, in a process of its own


async def _watch(stalls: list[tuple[float, float]]) -> None:
    """Note, for each turn of the loop, how long it was late on the clock, and how much of that was computing."""
    wall, busy = time.perf_counter(), time.process_time()
    while True:
        await asyncio.sleep(0.001)
        now, used = time.perf_counter(), time.process_time()
        stalls.append((now - wall - 0.001, min(now - wall - 0.001, used - busy)))
        wall, busy = now, used


async def _start(url: str) -> list[float]:
    """Seconds: the longest stall on the clock, the longest of computing, the start, the first read."""
    stalls: list[tuple[float, float]] = []
    watch = asyncio.create_task(_watch(stalls))
    await asyncio.sleep(0.02)
    began = time.perf_counter()
    async with _ours(url) as read:
        started = time.perf_counter()
        await read("first")
        done = time.perf_counter()
    watch.cancel()
    return [max(wall for wall, _ in stalls), max(busy for _, busy in stalls), started - began, done - started]


def _starts(url: str, processes: int = 7) -> list[float]:
    """The medians of :func:`_start` over as many processes."""
    command = [sys.executable, "-m", "benchmarks.aws", "start", url]
    runs = [json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) for _ in range(processes)]
    return [statistics.median(column) for column in zip(*runs, strict=True)]


# -- the rows


@contextlib.asynccontextmanager
async def _ours(url: str):
    settings = {"key_management_system": "aws_secret_manager", "key_management_settings": {"attempt_timeout": "30"}}
    environ = {**ENVIRON, "AWS_ENDPOINT_URL": url}
    async with SecretsClient.from_config(
        {"general_settings": settings}, environ=environ, jitter=lambda: 0.9
    ) as secrets:
        yield secrets.get


@contextlib.asynccontextmanager
async def _one_client(url: str):
    import aioboto3

    async with aioboto3.Session().client("secretsmanager", endpoint_url=url) as client:

        async def read(name: str) -> object:
            return await client.get_secret_value(SecretId=name)

        yield read


@contextlib.asynccontextmanager
async def _a_client_each(url: str):
    import aioboto3

    session = aioboto3.Session()

    async def read(name: str) -> object:
        async with session.client("secretsmanager", endpoint_url=url) as client:
            return await client.get_secret_value(SecretId=name)

    yield read


@contextlib.asynccontextmanager
async def _aws_cache(url: str):
    import botocore.session
    from aws_secretsmanager_caching import SecretCache, SecretCacheConfig

    client = botocore.session.get_session().create_client("secretsmanager", endpoint_url=url)
    cache = SecretCache(config=SecretCacheConfig(), client=client)

    async def read(name: str) -> object:
        return await asyncio.to_thread(cache.get_secret_string, name)

    yield read


async def _longest_stall(seconds: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        seconds.append(time.perf_counter() - before - 0.001)


async def _measure(open_row, url: str, names: list[str], rounds: int) -> tuple[int, float, float, int]:
    """Return calls, seconds and the loop's longest stall for reading ``names`` at once, ``rounds`` times; and reads."""
    async with open_row(url) as read:
        if rounds > 1:
            await asyncio.gather(*(read(name) for name in names))
        stalls: list[float] = [0.0]
        watch = asyncio.create_task(_longest_stall(stalls))
        before, began = _calls(url), time.perf_counter()
        for _ in range(rounds):
            if rounds == 1:
                await asyncio.gather(*(read(name) for name in names))
            else:
                for name in names:
                    await read(name)
        taken = time.perf_counter() - began
        watch.cancel()
        return _calls(url) - before, taken, max(stalls), rounds * len(names)


def main() -> None:
    """Print both tables."""
    os.environ.update(ENVIRON)
    rows = {"asyncsecrets": (_ours, 1_000), "aioboto3, one client": (_one_client, 2)}
    if importlib.util.find_spec("aws_secretsmanager_caching"):
        rows["aws-secretsmanager-caching"] = (_aws_cache, 20)
    with _stub() as url:
        wall, busy, start, first = (each * 1e3 for each in _starts(url))
        print(f"start {start:.0f} ms, first read {first:.0f} ms; meanwhile the event loop is kept for {busy:.1f} ms of")
        print(f"computing at most ({wall:.1f} ms on the clock)\n")
        print(f"1,000 cold secrets at once, {LATENCY * 1e3:.0f} ms a call")
        print(f"{'':30}{'calls':>8}{'seconds':>9}{'stall ms':>10}")
        cold = {**rows, "aioboto3, a client each": (_a_client_each, 1)}
        for row, (open_row, _) in cold.items():
            names = COLD[:50] if open_row is _a_client_each else COLD
            calls, taken, stall, reads = asyncio.run(_measure(open_row, url, names, 1))
            factor = len(COLD) / reads
            print(f"{row:30}{calls * factor:8,.0f}{taken * factor:9.2f}{stall * 1e3:10.1f}")
        print("\nwarm reads of 100 secrets, one after another")
        print(f"{'':30}{'calls/1M':>12}{'$/1M':>8}{'us/read':>9}")
        for row, (open_row, rounds) in rows.items():
            calls, taken, _, reads = asyncio.run(_measure(open_row, url, WARM, rounds))
            million = calls / reads * 1_000_000
            print(f"{row:30}{million:12,.0f}{million * PER_CALL:8.2f}{taken / reads * 1e6:9.1f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(_serve())
    elif sys.argv[1:2] == ["start"]:
        print(json.dumps(asyncio.run(_start(sys.argv[2]))))
    else:
        main()
