"""What is told of a local store that does not answer as it was asked: never a value, and always what to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asyncsecrets.errors import AuthenticationError, IntegrityError, NotFoundReason, SecretNotFoundError
from asyncsecrets.providers.local_keys import Keys, check_recipients
from asyncsecrets.providers.local_store import Entry, Store

__all__ = ["Faults"]

_SYSTEM: Final = "local"


@dataclass(frozen=True, slots=True)
class Faults:
    """The errors of the store at ``path``. ``usual`` is where its key may be, if nobody has named one."""

    path: Path
    usual: Path | None

    def check_recipients(self, keys: Keys, store: Store, name: str) -> None:
        """Raise AuthenticationError for ``keys`` of nobody who can read it, ConfigError for what are no recipients."""
        check_recipients(store.keys)
        if keys and not set(keys.recipients) & set(store.keys):
            raise self.sealed(keys, store, name)

    def sealed(self, keys: Keys, store: Store, name: str) -> AuthenticationError:
        """The current value is for others than the owner of ``keys``."""
        if not keys:
            usual = "" if self.usual is None else f", or put the key into {self.usual}"
            remedy = f"there is no key; set ASYNCSECRETS_KEY or ASYNCSECRETS_KEY_FILE{usual}"
        elif set(keys.recipients) & set(store.keys):
            remedy = (
                "it was encrypted before this key was a recipient; have another run: asyncsecrets recipients accept"
            )
        else:
            own = keys.recipients[0]
            remedy = (
                f"this key is of {own}, which is not among the recipients of {self.path}; "
                f"have one of them run: asyncsecrets recipients add {own}"
            )
        return AuthenticationError(f"local: {name!r} cannot be decrypted: {remedy}", provider=_SYSTEM, name=name)

    def tampered(self, name: str, entry: Entry) -> IntegrityError:
        """A value is not what was stored in its place."""
        what = f"version {entry.version} of {name!r}"
        message = f"local: the value of {what} is damaged or was moved there; restore {self.path} from version control"
        return IntegrityError(message, provider=_SYSTEM, name=name)

    def not_found(
        self, name: str, version: str | None = None, reason: NotFoundReason = "absent"
    ) -> SecretNotFoundError:
        """There is no such secret, or not that version of it any more."""
        what = repr(name) if version is None else f"version {version!r} of {name!r}"
        state = "is not" if reason == "absent" else f"is {reason}"
        remedy = "; restore it" if reason == "deleted" else ""
        message = f"local: {what} {state} in {self.path}{remedy}"
        return SecretNotFoundError(message, provider=_SYSTEM, name=name, reason=reason)
