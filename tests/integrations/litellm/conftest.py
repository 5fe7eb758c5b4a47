"""What the rooms of LiteLLM's hook are tried with: clients on threads of their own, closed at the end."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from asyncsecrets.integrations.litellm.resident import Resident
from tests.client.support import ONCE, Manager, client_of

if find_spec("litellm") is None:
    collect_ignore = ["test_real.py"]  # LiteLLM wants other versions of much: make test-litellm


@pytest.fixture
def reside():
    """Make a Resident of a manager's client."""
    made: list[Resident] = []

    def reside(manager: Manager, moved_in=None, **options) -> Resident:
        async def nothing() -> None:
            pass

        resident = Resident(client_of(manager, retry=ONCE, **options), moved_in or nothing)
        made.append(resident)
        return resident

    yield reside
    for resident in made:
        resident.close()


@pytest.fixture
def manager() -> Manager:
    return Manager({"KEY": "canary-1", "OTHER": "canary-other"})
