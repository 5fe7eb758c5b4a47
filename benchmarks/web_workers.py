"""Four uvicorn workers under load, while the store is killed and comes back twice.

Every request reads five secrets. The store comes back with other values each time, and these are to be seen. Counted
are the requests that failed, how late timers of the workers' event loops were, and what the store was asked: until all
workers were ready, and in a time in which nothing happens but renewals.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.web_app import NAMES
from benchmarks.web_load import PATIENCE, Answers, Connection, load, served, wait_until_ready
from benchmarks.web_store import Store

WORKERS = 4
CONNECTIONS = 40
PAUSE = 0.02  # seconds that a connection waits between an answer and the next request
INTERVAL = 2.0  # seconds between two renewals of a secret
CALM = float(os.environ.get("BENCH_CALM", "10"))  # seconds in which nothing happens
OUTAGE = float(os.environ.get("BENCH_OUTAGE", "5"))  # seconds that the store is away


async def _run(store: Store, port: int) -> tuple[Answers, list[Counter[str]]]:
    answers, until = Answers(), asyncio.Event()
    loading = asyncio.create_task(
        load(port, "/all", answers, connections=CONNECTIONS, pause=PAUSE, until=until), name="load"
    )
    before = await asyncio.to_thread(store.calls)
    await asyncio.sleep(CALM)
    calls = [before, await asyncio.to_thread(store.calls) - before]
    for _ in range(2):
        await asyncio.to_thread(store.kill)
        await asyncio.sleep(OUTAGE)
        await asyncio.to_thread(store.start)
        await _seen_everywhere(port, store)
        await asyncio.sleep(INTERVAL)
        calls.append(await asyncio.to_thread(store.calls))
    until.set()
    await loading
    return answers, calls


async def _seen_everywhere(port: int, store: Store) -> None:
    """Wait until many answers in a row have the values of this generation."""
    expected = _text(store)
    deadline, agreed = time.monotonic() + PATIENCE, 0
    while agreed < 10 * WORKERS:
        connection = Connection(port, "/all")  # a new one each time: any of the workers may get it
        _, text = await connection.ask()
        connection.close()
        agreed = agreed + 1 if text == expected else 0
        if time.monotonic() > deadline:
            raise TimeoutError("the new values are not seen")


def _text(store: Store) -> str:
    return " ".join([hashlib.sha256(store.value().encode()).hexdigest()[:12]] * len(NAMES))


def _all_started(store: Store) -> bool:
    return store.calls()["GET secret"] >= WORKERS * len(NAMES)


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("not all workers have started")
        time.sleep(0.05)


def _percentile(seen: list[float], share: float) -> float:
    return sorted(seen)[min(len(seen) - 1, int(share * len(seen)))]


def _told(calls: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(calls.items())) or "none"


def _print(answers: Answers, calls: list[Counter[str]], workers: list[dict]) -> None:
    late = [each for worker in workers for each in worker["late"]]
    renewals = calls[1]["GET secret"] / (WORKERS * CALM / INTERVAL)
    print("| what | seen |")
    print("|---|---|")
    print(f"| requests | {answers.made:,} |")
    print(f"| of them failed | {answers.failed.total()} {dict(answers.failed) or ''} |")
    print(f"| generations of the secrets seen | {len({text for texts in answers.texts for text in texts.split()})} |")
    print(f"| workers that ended as they should | {len(workers)} of {WORKERS} |")
    print(f"| event loop late, p50, p99, worst | {_percentile(late, 0.5):.1f}, {_percentile(late, 0.99):.1f}, "
          f"{max(late):.1f} ms |")  # fmt: skip
    print(f"| asked of the store at the start, {WORKERS} workers of {len(NAMES)} names | {_told(calls[0])} |")
    print(f"| in {CALM:.0f} s of calm | {_told(calls[1])} |")
    print(f"| that is, for a worker and a refresh of {len(NAMES)} names | {renewals:.2f} |")
    for number, seen in enumerate(calls[2:], 1):
        print(f"| after return {number} | {_told(seen)} |")


def main() -> None:
    """Run it, and print a table. Fails if a request has."""
    with tempfile.TemporaryDirectory() as folder, Store(NAMES) as store:
        environ = {**store.environ, "BENCH_STATS": folder, "BENCH_INTERVAL": str(INTERVAL)}
        with served(environ, workers=WORKERS) as server:
            wait_until_ready(server)
            _until(lambda: _all_started(store))
            time.sleep(1.0)  # each also looks up how long its token lasts
            answers, calls = asyncio.run(_run(store, server.port))
        workers = [json.loads(path.read_text()) for path in Path(folder).glob("*.json")]
    _print(answers, calls, workers)
    if answers.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
