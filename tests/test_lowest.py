"""Which versions are the lowest that are declared."""

from __future__ import annotations

import pytest

from tests.lowest import lowest

PROJECT = """
[project]
name = "asyncsecrets"
dependencies = ["aiohttp>=3.14.2", "pyyaml>=6.0"]
[project.optional-dependencies]
aws = ["some-sdk[crt]>=15"]
other-aws = ["its-core>=3"]
all = ["asyncsecrets[aws]"]
[dependency-groups]
test = ["pytest>=8"]
"""


def test_lowest():
    """Of what is installed with us, these extras included; of the test tools it is no promise."""
    assert lowest(PROJECT, ["aws"]) == ["aiohttp==3.14.2", "pyyaml==6.0", "some-sdk==15"]


def test_an_extra_that_is_not_there():
    """An extra that was renamed is not left out in silence."""
    with pytest.raises(SystemExit, match="no such extra: awz"):
        lowest(PROJECT, ["aws", "awz"])


@pytest.mark.parametrize("loose", ["pyyaml", "pyyaml<7", "pyyaml>=6,<7", "pyyaml~=6.0"])
def test_a_bound_that_is_not_one(loose):
    """Each dependency declares the lowest version that works, and nothing else."""
    with pytest.raises(SystemExit, match="pyyaml"):
        lowest(PROJECT.replace("pyyaml>=6.0", loose), ["aws"])
