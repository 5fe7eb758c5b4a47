"""What the settings of every SDK have in common."""

from __future__ import annotations

import pytest

from asyncsecrets.errors import ConfigError

SETTINGS = {
    "aws_secret_manager": ("aws", "AwsSettings", {}),
    "azure_key_vault": ("azure", "AzureSettings", {"vault_uri": "https://demo.vault.azure.net"}),
    "google_secret_manager": ("google", "GoogleSettings", {}),
}


@pytest.fixture(params=SETTINGS)
def build(request):
    """Make the settings of each."""
    where, name, needed = SETTINGS[request.param]
    settings = getattr(pytest.importorskip(f"asyncsecrets.providers.{where}.settings"), name)
    return lambda **more: settings(**needed, **more)


@pytest.mark.parametrize("name", ["connect_timeout", "attempt_timeout", "max_connections"])
def test_numbers(build, name):
    """More than nothing."""
    with pytest.raises(ConfigError, match=f"{name} must be greater than 0"):
        build(**{name: 0})


def test_the_environment_does_not_show_itself(build):
    """It is there all the same."""
    made = build(environ={"NAME": "canary"})
    assert made.variables() == {"NAME": "canary"}
    assert "canary" not in repr(made)
    assert build(environ=made.environ).variables() == {"NAME": "canary"}
