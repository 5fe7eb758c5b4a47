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
all = ["asyncsecrets[aws]"]
[dependency-groups]
test = ["pytest>=8"]
"""


def test_lowest():
    """Of what is installed with us, extras included; of the test tools it is no promise."""
    assert lowest(PROJECT) == ["aiohttp==3.14.2", "pyyaml==6.0", "some-sdk==15"]


@pytest.mark.parametrize("loose", ["pyyaml", "pyyaml<7", "pyyaml>=6,<7", "pyyaml~=6.0"])
def test_a_bound_that_is_not_one(loose):
    """Each dependency declares the lowest version that works, and nothing else."""
    with pytest.raises(SystemExit, match="pyyaml"):
        lowest(PROJECT.replace("pyyaml>=6.0", loose))
