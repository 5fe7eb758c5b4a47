"""Requests per second of a FastAPI handler with ``await get_secret()``, with the dependency, and with a constant.

One run: one uvicorn worker, and rounds in which each of them has its turn. The medians of the rounds are compared. What
a dependency costs in FastAPI, whatever it gives, is seen by one that gives a constant. What the handlers cost is a
small part of a request over HTTP; so the app alone, called without a server, is measured in the same way.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time

from benchmarks.web_load import Answers, load, served, wait_until_ready
from benchmarks.web_store import Store

PATHS = ["/constant", "/get_secret", "/constant_dependency", "/dependency"]
CONNECTIONS = 16
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "1.0"))
CALLS = 1_000


async def _over_http(port: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {path: [] for path in PATHS}
    for number in range(ROUNDS + 1):
        for path in PATHS:
            rate = await _rate(port, path)
            if number:  # the first one warms everything
                rates[path].append(rate)
    return rates


async def _rate(port: int, path: str) -> float:
    answers, until = Answers(), asyncio.Event()
    asyncio.get_running_loop().call_later(SECONDS, until.set)
    began = time.perf_counter()
    await load(port, path, answers, connections=CONNECTIONS, pause=0.0, until=until)
    if answers.failed:
        raise RuntimeError(f"requests failed: {dict(answers.failed)}")
    return answers.made / (time.perf_counter() - began)


async def _alone() -> dict[str, list[float]]:
    from benchmarks.web_app import app, secrets

    rates: dict[str, list[float]] = {path: [] for path in PATHS}
    async with secrets.opened():
        for number in range(ROUNDS + 1):
            for path in PATHS:
                rate = await _calls(app, path)
                if number:
                    rates[path].append(rate)
    return rates


async def _calls(app, path: str) -> float:
    began = time.thread_time()  # other programs on the machine do not count
    for _ in range(CALLS):
        statuses: list[int] = []
        await app(_scope(path), _nothing, _noting(statuses))
        if statuses != [200]:
            raise RuntimeError(f"{path} answered {statuses}")
    return CALLS / (time.thread_time() - began)


def _scope(path: str) -> dict[str, object]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"app")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }


async def _nothing() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _noting(statuses: list[int]):
    async def send(message: dict) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    return send


def _print(title: str, rates: dict[str, list[float]]) -> None:
    print(f"{title}, {ROUNDS} rounds")
    print("| handler | requests per second, median (least to most) | of the constant's |")
    print("|---|---|---|")
    base = statistics.median(rates[PATHS[0]])
    for path, seen in rates.items():
        median = statistics.median(seen)
        print(f"| {path[1:]} | {median:,.0f} ({min(seen):,.0f} to {max(seen):,.0f}) | {median / base:.3f} |")


def main() -> None:
    """Measure, and print two tables."""
    from benchmarks.web_app import NAMES

    with Store(NAMES) as store:
        environ = {**store.environ, "BENCH_INTERVAL": "300"}
        with served(environ) as server:
            wait_until_ready(server)
            _print("over HTTP, one uvicorn worker", asyncio.run(_over_http(server.port)))
        os.environ.update(environ)
        _print("the app alone, by CPU time", asyncio.run(_alone()))


if __name__ == "__main__":
    main()
