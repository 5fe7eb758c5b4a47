"""Virtual keys in Secret Manager, which deletes for good."""

from __future__ import annotations

from asyncsecrets import SecretsClient
from tests.providers.google.conftest import settings_at
from tests.providers.google.support import PROJECT
from tests.virtual_keys.scenarios import document, life


async def test_life(google):
    """The alias is free as soon as it is deleted."""
    found = document("google_secret_manager", google_secret_manager_project_id=PROJECT, **settings_at(google))
    async with SecretsClient.from_config(found, environ={}) as client:
        await life(client)
