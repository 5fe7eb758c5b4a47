"""Secrets for asyncio services: one await, refreshed in the background, through outages and rotations.

::

    from asyncsecrets import SecretsClient, get_secret

    async with SecretsClient.from_config("config.yaml"):
        key = await get_secret("OPENAI_API_KEY")

Importing this package loads no HTTP client, no SDK and no parser: everything but ``get_secret`` is imported when
it is first named.

pytest need not rewrite anything here: PYTEST_DONT_REWRITE. Or it would warn where this is imported before its plugins.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.version_info < (3, 11):  # noqa: UP036  # no installer has seen to it in a copied folder, or by PYTHONPATH
    raise ImportError(
        f"asyncsecrets needs Python 3.11 or newer, and this is {sys.version.split()[0]}: run it with a newer one"
    )

from asyncsecrets.default import get_secret, get_secret_bool, reset_default, set_opener
from asyncsecrets.lazily import finder

if TYPE_CHECKING:
    from asyncsecrets import errors
    from asyncsecrets.cache import CachePolicy, SingleFlightCache
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.default import DefaultClient
    from asyncsecrets.integrations.pydantic import load_settings
    from asyncsecrets.retry import RetryPolicy
    from asyncsecrets.secret import Secret
    from asyncsecrets.virtual_keys import VirtualKeys

__version__ = "0.1.0"

__all__ = [
    "CachePolicy",
    "RetryPolicy",
    "Secret",
    "SecretsClient",
    "SingleFlightCache",
    "VirtualKeys",
    "__version__",
    "errors",
    "get_secret",
    "get_secret_bool",
    "load_settings",
    "reset_default",
]

_HOMES = {
    "CachePolicy": "asyncsecrets.cache",
    "RetryPolicy": "asyncsecrets.retry",
    "Secret": "asyncsecrets.secret",
    "SecretsClient": "asyncsecrets.client",
    "SingleFlightCache": "asyncsecrets.cache",
    "VirtualKeys": "asyncsecrets.virtual_keys",
    "load_settings": "asyncsecrets.integrations.pydantic",
}


__getattr__ = finder(globals(), _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


async def _open_from_environment() -> DefaultClient:
    from asyncsecrets.opening import open_default  # noqa: PLC0415

    def build() -> DefaultClient:
        from asyncsecrets.client import SecretsClient  # noqa: PLC0415

        return SecretsClient.from_environment()

    return await open_default(build)


set_opener(_open_from_environment)
