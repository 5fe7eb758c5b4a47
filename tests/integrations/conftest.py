"""An app's secrets at a manager with one, and what the tests of each framework look at."""

from __future__ import annotations

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.providers.memory import MemoryProvider


@pytest.fixture
def provider():
    """A manager with one secret."""
    return MemoryProvider({"KEY": "canary-1"})


@pytest.fixture
def made():
    """The clients that were made."""
    return []


@pytest.fixture
def secrets(provider, made):
    """An app's secrets, with a client from that manager for each run."""

    def make():
        made.append(SecretsClient.from_provider(provider))
        return made[-1]

    return AppSecrets(make, required=["KEY"])
