"""The ``asyncsecrets`` command as a process of its own, also as ``python -m asyncsecrets``."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]


def main() -> int:
    """Run the process's command line. A tenth of what a short command takes is the garbage collector's, for nothing:
    imports make many objects that stay, and at the end they need not be looked through once more."""
    gc.set_threshold(100_000)
    from asyncsecrets.cli import main as command  # noqa: PLC0415

    code = command()
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
