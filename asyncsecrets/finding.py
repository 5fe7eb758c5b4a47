"""Where a program that names no configuration finds one: ``config.yaml`` in its working directory, or above.

It is looked for up to the folder of the repository (with ``.git``), as tools do; where there is none, in the working
directory only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["candidates"]


def candidates(cwd: Path) -> Iterator[Path]:
    """Yield every ``config.yaml`` that is there, also if it is a folder or a broken link, the nearest one first."""
    folders = [cwd, *cwd.parents]
    root = next((folder for folder in folders if os.path.lexists(folder / ".git")), cwd)
    for folder in folders[: folders.index(root) + 1]:
        if os.path.lexists(folder / "config.yaml"):
            yield folder / "config.yaml"
