"""What is warm, by reference: the two dicts that a hit reads.

They follow the caches: an entry is in them only while its cache vouches for the value it was made from. When vouching
ends the dicts are *replaced*, never emptied, because that may happen on another thread: whoever publishes at that
moment took hold of the old dicts before looking whether the cache still vouches, and so writes to dicts that nobody
reads any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from asyncsecrets.errors import DecodeError
from asyncsecrets.redaction import holds_secrets
from asyncsecrets.secret import Secret

__all__ = ["Hot"]

K = TypeVar("K")


class Hot:
    """References that are warm, with their secrets and their texts. ``replaced`` is called when the dicts are new
    ones."""

    __slots__ = ("__weakref__", "_replaced", "secrets", "texts")

    def __init__(self, replaced: Callable[[], None]) -> None:
        self.secrets: dict[str, Secret] = {}
        self.texts: dict[str, str] = {}
        self._replaced = replaced
        holds_secrets(self)

    def publish(self, reference: str, secret: Secret, vouched: Callable[[K], object], key: K, value: object) -> bool:
        """Make ``reference`` warm if what is ``vouched(key)`` for is this very ``value``, and say whether it is."""
        secrets, texts = self.secrets, self.texts  # before vouched(): see above
        if vouched(key) is not value:
            return False
        secrets[reference] = secret
        try:
            texts[reference] = secret.reveal()
        except DecodeError:  # binary: get() has it warm, get_secret() says each time why it cannot
            texts.pop(reference, None)
        return True

    def remove(self, reference: str) -> None:
        """``reference`` is not warm any more."""
        self.secrets.pop(reference, None)
        self.texts.pop(reference, None)

    def withdraw(self) -> None:
        """Nothing is warm any more. Safe from any thread."""
        self.secrets, self.texts = {}, {}
        self._replaced()
