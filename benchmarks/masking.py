"""What the logging filter costs: a record, by its size and by how many values are known; and a value."""

from __future__ import annotations

import json
import logging
import secrets
import time
import tracemalloc
from collections.abc import Callable
from urllib.parse import quote

from asyncsecrets.redaction import RedactionFilter, handed_out
from asyncsecrets.redaction.known import known

MEGABYTE = 1_000_000
SENTENCE = "the quick brown fox jumps over 13 lazy dogs; GET /path?a=1 took 12 ms. "
TEXTS = {
    "sentences": (SENTENCE * 20_000)[:MEGABYTE],
    "JSON in JSON": json.dumps(json.dumps([SENTENCE, {"k": 1}] * 12_000))[:MEGABYTE],
    "percent-encoded": quote(SENTENCE * 10_000)[:MEGABYTE],
    "backslashes": "\\" * MEGABYTE,
}
HIT = "sk-canary-in-the-middle"
LEAVES = {f"key{i}": f"val {i:05}" for i in range(50_000)}


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times) * 1000


def _record(masking: RedactionFilter, argument: object) -> Callable[[], object]:
    return lambda: masking.filter(logging.makeLogRecord({"msg": "request %s took %d ms", "args": (argument, 12)}))


def _remember(count: int) -> tuple[float, float]:
    """Microseconds and bytes per value."""
    values = [f"sk-canary-{secrets.token_urlsafe(24)}" for _ in range(count)]
    tracemalloc.start()
    for value in values:
        handed_out(value)
    size = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    known.clear()
    RedactionFilter()
    started = time.process_time()
    for value in values:
        handed_out(value)
    return (time.process_time() - started) / count * 1e6, size


def main() -> None:
    """Print a table."""
    print(f"{'values':>8} {'200 bytes':>12}" + "".join(f"{f'1 MB, {kind}':>24}" for kind in TEXTS) + f"{'a value':>24}")
    for count in (1, 100, 1_000, 10_000):
        known.clear()
        masking = RedactionFilter()
        taken, size = _remember(count)
        small = _milliseconds(_record(masking, "y" * 200)) * 1000
        large = [_milliseconds(_record(masking, text)) for text in TEXTS.values()]
        shown = "".join(f"{milliseconds:21.1f} ms" for milliseconds in large)
        print(f"{count:>8} {small:9.1f} us{shown}{taken:9.0f} us, {size:6.0f} B")
    _print_places()


def _print_places() -> None:
    known.clear()
    masking = RedactionFilter()
    _remember(100)
    handed_out(HIT)
    print(f"\n{'with 100 values, 1 MB':<40} {'without one':>14} {'with one in it':>16}")
    for kind, text in TEXTS.items():
        hit = f"{text[:600_000]} {HIT} {text[600_000:]}"
        _print(f"text, {kind}", *(_milliseconds(_record(masking, each)) for each in (text, hit)))
        _print(f"argument, {kind}", *(_milliseconds(_record(masking, {"body": each})) for each in (text, hit)))
    hits = LEAVES | {"key777": HIT}
    _print("50,000 leaves", *(_milliseconds(_record(masking, leaves)) for leaves in (LEAVES, hits)))


def _print(what: str, *milliseconds: float) -> None:
    print(f"{what:<40}" + "".join(f"{taken:13.1f} ms" for taken in milliseconds))
