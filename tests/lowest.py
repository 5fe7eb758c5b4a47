"""Print pip's constraints for the lowest versions that pyproject.toml declares: ``name>=1.2`` becomes ``name==1.2``.

    python -m tests.lowest EXTRA …

`make test-lowest` runs the suite on those, so that what is declared is what works. The extras are those that are
installed together; others (``aws`` and ``aws-aiobotocore``) are ways to the same thing, and exclude each other.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

_LOW: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?>=([0-9.]+)")


def lowest(pyproject: str, extras: Collection[str]) -> list[str]:
    """The constraints, one a dependency; those of the test tools are no promise.

    Exits for a dependency without a bound, whichever extra it is of, and for an extra that is not there.
    """
    project = tomllib.loads(pyproject)["project"]
    declared = {"": project["dependencies"], **project["optional-dependencies"]}
    own = {extra: [line for line in lines if not _is_ours(project, line)] for extra, lines in declared.items()}
    unbounded = [line for lines in own.values() for line in lines if not _LOW.fullmatch(line)]
    if unbounded:
        sys.exit(f"no lowest version is declared, or more than that: {', '.join(unbounded)}")
    if missing := set(extras) - set(own):
        sys.exit(f"no such extra: {', '.join(sorted(missing))}")
    return sorted({_LOW.sub(r"\1==\2", line) for extra in ("", *extras) for line in own[extra]})


def _is_ours(project: dict[str, Any], line: str) -> bool:
    return line.startswith(f"{project['name']}[")


if __name__ == "__main__":
    print(
        "\n".join(lowest((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"), sys.argv[1:]))
    )
