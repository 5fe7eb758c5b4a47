"""A LiteLLM proxy that reads and stores its secrets through asyncsecrets.

LiteLLM loads a class from a file beside its config.yaml. That file is one line, which ``asyncsecrets litellm`` writes::

    from asyncsecrets.integrations.litellm import AsyncSecrets

``hook`` is the class; ``shared`` is what its instances in one process share, and ``resident`` the client's thread;
``files`` finds the configuration and ``warming`` reads what it refers to; ``answers`` is how a read is answered,
``keys`` what the key hooks do; ``quiet`` keeps LiteLLM's log readable.

Importing this package imports neither LiteLLM nor the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncsecrets.integrations.litellm.hook import AsyncSecrets

__all__ = ["AsyncSecrets"]


def __getattr__(name: str) -> Any:
    if name != "AsyncSecrets":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from asyncsecrets.integrations.litellm.hook import AsyncSecrets  # noqa: PLC0415

    return AsyncSecrets
