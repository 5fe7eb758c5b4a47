"""What the benchmarks of SDKs share: a stub in a process of its own, and rows of cold reads beside the bare client.

Rows are interleaved, so that whatever else the machine does hits all of them.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping

from benchmarks.cold_reads import IN_FLIGHT, run

Read = Callable[[str], Awaitable[object]]
Opened = Callable[[str], contextlib.AbstractAsyncContextManager[Read]]
"""Opens a row at the stub, by what says where that is."""

Rounds = list[tuple[float, float]]
"""(seconds, CPU seconds) per read of each."""

ROUNDS = 9
READS = 1_500


@contextlib.contextmanager
def stub(module: str) -> Iterator[str]:
    """Run ``python -m module serve``, which ends with its standard input; yield the line that it prints."""
    command = [sys.executable, "-m", module, "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=5)


async def cold(rows: Mapping[str, Opened], where: str, reads: int = READS) -> dict[str, Rounds]:
    """Read names that were never read before, by row and round."""
    results: dict[str, Rounds] = {row: [] for row in rows}
    async with contextlib.AsyncExitStack() as stack:
        opened = {row: await stack.enter_async_context(opening(where)) for row, opening in rows.items()}
        for number in range(ROUNDS + 1):
            names = [f"cold-{number}-{place}" for place in range(reads)]
            for row, read in opened.items():
                taken = await run(read, names)
                if number:  # the first round opens the connections
                    results[row].append(taken)
    return results


def show(results: Mapping[str, Rounds]) -> None:
    """Print throughput and CPU per read as ratios to the row ``bare``."""
    floor = [statistics.median(column) for column in zip(*results["bare"], strict=True)]
    print(f"Cold reads, {IN_FLIGHT} in flight, medians of {ROUNDS} interleaved rounds")
    print(f"{'':12}{'reads/s':>10}{'x bare':>9}{'CPU us/read':>13}{'x bare':>9}")
    for row, rounds in results.items():
        wall, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{row:12}{1 / wall:10,.0f}{floor[0] / wall:9.2f}{cpu * 1e6:13.0f}{cpu / floor[1]:9.2f}")
