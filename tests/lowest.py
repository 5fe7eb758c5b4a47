"""Print pip's constraints for the lowest versions that pyproject.toml declares: ``name>=1.2`` becomes ``name==1.2``.

`make test-lowest` runs the suite on those, so that what is declared is what works.
"""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Final

_LOW: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?>=([0-9.]+)")


def lowest(pyproject: str) -> list[str]:
    """The constraints, one a dependency; those of the test tools are no promise. Exits for one without a bound."""
    project = tomllib.loads(pyproject)["project"]
    declared = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    own = [line for line in declared if not line.startswith(f"{project['name']}[")]
    unbounded = [line for line in own if not _LOW.fullmatch(line)]
    if unbounded:
        sys.exit(f"no lowest version is declared, or more than that: {', '.join(unbounded)}")
    return sorted({_LOW.sub(r"\1==\2", line) for line in own})


if __name__ == "__main__":
    print("\n".join(lowest((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))))
