"""What importing costs: fresh interpreters, interleaved, less an interpreter that imports nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 25
ROWS = ("pass", "import asyncio", "import asyncsecrets", "import asyncsecrets.client", "import aiohttp", "import hvac")


def _start(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print each row beside ``import asyncio``."""
    taken: dict[str, list[float]] = {row: [] for row in ROWS}
    for _ in range(ROUNDS):
        for row in ROWS:
            taken[row].append(_start(row))
    bare = statistics.median(taken["pass"])
    floor = statistics.median(taken["import asyncio"]) - bare
    print(f"Imports in a fresh interpreter, medians of {ROUNDS} interleaved rounds")
    print(f"{'':28}{'ms':>8}{'x asyncio':>11}")
    for row in ROWS[1:]:
        cost = statistics.median(taken[row]) - bare
        print(f"{row:28}{cost * 1e3:8.1f}{cost / floor:11.2f}")


if __name__ == "__main__":
    main()
