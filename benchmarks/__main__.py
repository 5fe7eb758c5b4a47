"""``python -m benchmarks [NAME …]``: run all benchmarks, or the named ones, one after another."""

from __future__ import annotations

import importlib
import sys

ORDER = (
    *("imports", "hit_path", "stampede", "many_entries", "cold_reads", "deadlines", "outage", "masking"),
    *("aws", "google", "azure"),
    *("web", "web_workers", "degraded_start"),
)


def main(names: list[str]) -> int:
    """Run them; each prints its own table."""
    unknown = [name for name in names if name not in ORDER]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(ORDER)}", file=sys.stderr)
        return 2
    for name in names or ORDER:
        print(f"== {name}")
        importlib.import_module(f"benchmarks.{name}").main()
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
