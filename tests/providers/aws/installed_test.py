"""What the tests in this folder need: without it they are not collected, and this one says so."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("package", ["aiobotocore", "moto"])
def test_installed(package):
    """The SDK and moto are installed."""
    pytest.importorskip(package, reason=f"the tests of the AWS providers need {package}")
