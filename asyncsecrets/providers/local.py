"""The embedded encrypted store: one file that can be committed, for development, tests and continuous integration.

Names are readable, every value is encrypted to the file's recipients. Reading needs a key (``AGE-SECRET-KEY-1…``);
writing needs only what is in the file. The layout is in ``asyncsecrets.providers.local_store``, the encryption in
``asyncsecrets.providers.local_keys``. Every call looks at the file, by way of ``asyncsecrets.providers.local_file``, so
a change by another process, an editor or a checkout is seen by the next call.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final

from asyncsecrets.boundary import afresh, configuring
from asyncsecrets.credential import Credential, revealed
from asyncsecrets.errors import (
    ClosedError,
    ConfigError,
    ConflictError,
)
from asyncsecrets.kinds import Tidied
from asyncsecrets.loops import in_thread
from asyncsecrets.providers.base import VersionInfo
from asyncsecrets.providers.files import MAX_BYTES, create_file
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.providers.local_faults import Faults
from asyncsecrets.providers.local_file import StoreFile
from asyncsecrets.providers.local_key_files import KeySource, default_key_file, write_key_file
from asyncsecrets.providers.local_keys import (
    Keys,
    UnsealError,
    check_recipients,
    generate_key,
)
from asyncsecrets.providers.local_recipients import (
    RecipientList,
    added,
    list_of,
    new_recipient,
    reencrypted,
    removed,
)
from asyncsecrets.providers.local_store import Entry, Recipient, Store, check_name, check_storable, render_within
from asyncsecrets.references import fault_of
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.trust import FoundFile

__all__ = ["LocalProvider", "generate_key", "init_store", "write_key_file"]

MAX_VERSIONS: Final = 10
"""How many versions of a secret are kept, where nothing else is said."""

_FOUND: Final = FoundFile("secrets.yaml", "or name it, if you trust it: local_file or ASYNCSECRETS_FILE")


@afresh
def init_store(
    path: str | Path,
    recipient: str,
    secrets: Mapping[str, Payload] = MappingProxyType({}),
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Write a new store with ``secrets``, whose values ``recipient`` (``age1…``) will be able to read. Blocks.

    Raises ConfigError if the file is there already or ``recipient`` is no public key, MissingDependencyError, OSError,
    and for a name or a value that cannot be stored what ``LocalProvider.put`` raises.
    """
    check_recipients([recipient])
    store, created = Store((Recipient(recipient),), {}), _second(now())
    for name, payload in secrets.items():
        check_storable(name, payload)
        store = store.with_entry(name, Entry(1, created, Keys().seal(payload, name, 1, store.keys)), 1)
    try:
        return create_file(Path(path), render_within(store, MAX_BYTES, origin=str(path)))
    except FileExistsError:
        pass
    raise ConfigError(f"local: {path} is there already; a store is never replaced")


@guarded
class LocalProvider:
    """The secrets of the file at ``path``.

    ``key`` is a secret key's text; without it, ``key_file`` names a file that holds one, which only its owner may read.
    Without both, values can be written and not read. The newest ``max_versions`` of each secret are kept, fewer
    where the file would else grow beyond ``MAX_BYTES``. ``lock_timeout`` is how long a write waits for another process,
    in seconds. A ``path`` that is a ``FoundFile`` and ``usual_key_file`` are judged before they are read: see
    ``asyncsecrets.trust``. ``now`` tells the creation time of versions.

    A change that is cancelled is not made later, however far its thread has come: only the one whose new file is just
    being put in place is made, and at once.
    """

    system: ClassVar[str] = "local"
    tells_sending: ClassVar[bool] = True
    default_field: str | None = None

    @configuring
    def __init__(
        self,
        path: str | os.PathLike[str] = "secrets.yaml",
        *,
        key: str | Credential[str] | None = None,
        key_file: str | Path | None = None,
        usual_key_file: Path | None = None,
        max_versions: int = MAX_VERSIONS,
        lock_timeout: float = 4.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if max_versions < 1:
            raise ConfigError("local: at least one version of a secret must be kept")
        self.path = Path(path)
        self._key_source = KeySource(
            None if key is None else Credential(revealed(key)),
            None if key_file is None else Path(key_file),
            usual_key_file,
        )
        self._faults = Faults(self.path, usual_key_file)
        self._max_versions = max_versions
        self._now = now
        self._keys: Keys | None = None
        check = path.check if isinstance(path, FoundFile) else lambda: None
        self._file = StoreFile(self.path, check=check, lock_timeout=lock_timeout)

    @classmethod
    @configuring
    def from_settings(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> LocalProvider:
        """From ``local_file``, ``local_max_versions``, and ``local_key`` or ``local_key_file``.

        What the settings leave out is in ``ASYNCSECRETS_FILE``, ``ASYNCSECRETS_KEY`` and ``ASYNCSECRETS_KEY_FILE``; a
        key in the settings, of either kind, wins over any in the environment. Where none is named, the key is in the
        file that ``asyncsecrets init`` makes, if that is there.
        """
        environ = Tidied(environ)
        path = settings.get("local_file") or environ.get("ASYNCSECRETS_FILE") or _FOUND
        if not (settings.get("local_key") or settings.get("local_key_file")):
            key, key_file = environ.get("ASYNCSECRETS_KEY"), environ.get("ASYNCSECRETS_KEY_FILE")
        else:
            key, key_file = settings.get("local_key"), settings.get("local_key_file")
        if isinstance(key, str) and not key.strip():  # a variable that a pipeline has set to nothing
            key = None
        usual, most = default_key_file(environ), int(settings.get("local_max_versions") or MAX_VERSIONS)
        return cls(path, key=key or None, key_file=key_file or None, usual_key_file=usual, max_versions=most)

    async def open(self) -> None:
        """Load the encryption library and the key, and read the file. Raises ConfigError, MissingDependencyError."""
        self._keys = await in_thread(self._prepare)

    async def aclose(self) -> None:
        """Forget the key and refuse calls from now on."""
        self._keys = None

    def abandon(self) -> None:
        """Start with a new lock on the file's content: a thread of the parent process may have held the old one."""
        self._file.abandon()

    def can_name(self, name: str) -> bool:
        """Whether a secret can be created by this name."""
        return not fault_of(name)

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Decrypt the secret's current version, or the given one.

        Raises AuthenticationError without a key that opens it, and IntegrityError if what it opens was not stored as
        this version of this secret.
        """
        keys = self._check(name)
        return await self._file.do(name, lambda: self._secret(keys, self._file.read(), name, version))

    async def get_current(self, name: str, version: str | None = None) -> Secret:
        """As ``get``: there is one file."""
        return await self.get(name, version)

    async def may_lag(self) -> bool:
        """No: see ``get_current``."""
        return False

    def check_value(self, name: str, payload: Payload) -> None:
        """Raise what ``put`` would for a value that cannot be stored: text that is not Unicode."""
        check_storable(name, payload)

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:  # noqa: ARG002  # a put is applied in one step, or not at all
        """Encrypt a new version. ``cas`` must be the current version, ``"0"`` where there is none or it is gone."""
        keys = self._check(name)
        check_storable(name, payload)

        def change(store: Store) -> Store:
            if cas is not None and cas != store.current(name):
                message = f"local: {name!r} is not at version {cas!r} any more; read it again and decide anew"
                raise ConflictError(message, provider=self.system, name=name)
            self._faults.check_recipients(self._fitting(keys, store), store, name)
            number = store.next_version(name)
            value = keys.seal(payload, name, number, store.keys, store.fingerprint)
            return store.with_entry(name, Entry(number, _second(self._now()), value), self._max_versions)

        entry = (await self._file.change(name, change)).secrets[name][-1]
        return Secret(payload, name=name, version=str(entry.version), created=entry.created)

    async def delete(self, name: str) -> None:
        """Mark the current version as deleted; ``restore`` brings it back."""
        await self._mark(name, None, lambda entry: entry.with_deleted(_second(self._now())))

    async def delete_versions(self, name: str, versions: Sequence[str]) -> None:
        """Mark these versions as deleted; ``restore`` brings them back. Absent ones are not an error."""
        await self._mark(name, versions, lambda entry: entry.with_deleted(_second(self._now())))

    async def restore(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Bring back the current version, or the given ones. One that is not deleted stays as it is.

        Raises SecretNotFoundError, and restores nothing, where one of them is destroyed or is not in the file.
        """

        def check(store: Store) -> None:
            for version in [None] if versions is None else versions:
                entry = store.entry(name, version)
                if entry is None or entry.destroyed:
                    raise self._faults.not_found(name, version, "absent" if entry is None else "destroyed")

        await self._mark(name, versions, lambda entry: entry.with_deleted(None), check)

    async def destroy(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Take the values of these versions out of the file for good, or the secret with all its versions.

        Absent is not an error. Copies of the file, such as earlier commits, still hold what was taken out of this one.
        A new secret, of that name or another, begins above the highest version that was ever destroyed as a whole.
        """
        if versions is not None:
            await self._mark(name, versions, lambda entry: entry.with_destroyed(_second(self._now())))
            return
        self._check(name)
        await self._file.change(name, lambda store: store.without(name))

    async def list(self, prefix: str = "") -> builtins.list[str]:
        """Return the sorted names under ``prefix`` whose current version is not deleted. Needs no key."""
        self._check_open()
        store = await self._file.do(None, self._file.read)
        return sorted(name for name in store.secrets if name.startswith(prefix) and store.current(name) != "0")

    async def versions(self, name: str) -> builtins.list[VersionInfo]:
        """Return the versions that are kept, oldest first. Needs no key."""
        self._check(name)
        store = await self._file.do(name, self._file.read)
        entries = store.secrets.get(name)
        if entries is None:
            raise self._faults.not_found(name)
        return [_info(entry, current=entry is entries[-1]) for entry in entries]

    async def recipients(self) -> RecipientList:
        """Who can read the store. Needs no key; with one, it opens every value to see whom that was encrypted to."""
        keys = self._check_open()
        return await self._file.do(None, lambda: self._list_of(self._file.read(), keys))

    async def add_recipient(self, key: str, name: str = "") -> RecipientList:
        """Have the owner of the public ``key`` (``age1…``), whom people call ``name``, read every value from now on.

        This, ``remove_recipient`` and ``accept_recipients`` encrypt every value anew, old versions included, in one
        step: who is killed or fails in it leaves the store as it was. They need a recipient's key that opens all of
        them. Raises ConfigError, and what ``asyncsecrets.providers.local_recipients`` says.
        """
        recipient = new_recipient(key, name)
        return await self._reencrypt(lambda store, _: added(store, recipient))

    async def remove_recipient(self, who: str) -> RecipientList:
        """Encrypt nothing to the one of this public key or name any more.

        Every earlier copy of the file stays readable for them: give the secrets new values.
        """
        return await self._reencrypt(lambda store, keys: removed(store, who, keys))

    async def accept_recipients(self) -> RecipientList:
        """Encrypt every value to the list as it stands in the file, after somebody has changed that there by hand."""
        return await self._reencrypt(lambda store, _: store.recipients, accepted=True)

    def __repr__(self) -> str:
        return f"LocalProvider({str(self.path)!r})"

    def _check_open(self) -> Keys:
        if self._keys is None:
            raise ClosedError("local: the provider is not open")
        return self._keys

    def _check(self, name: str) -> Keys:
        keys = self._check_open()
        check_name(name)
        return keys

    async def _mark(
        self,
        name: str,
        versions: Sequence[str] | None,
        change: Callable[[Entry], Entry],
        check: Callable[[Store], None] = lambda _: None,
    ) -> None:
        self._check(name)

        def marked(store: Store) -> Store:
            check(store)
            return store.with_changed(name, versions, change)

        await self._file.change(name, marked)

    async def _reencrypt(
        self, choose: Callable[[Store, Keys], tuple[Recipient, ...]], *, accepted: bool = False
    ) -> RecipientList:
        keys, origin = self._check_open(), str(self.path)

        def change(store: Store) -> Store:
            fitting = self._fitting(keys, store)
            return reencrypted(store, choose(store, fitting), fitting, origin=origin, accepted=accepted)

        store = await self._file.change(None, change)
        return await self._file.do(None, lambda: self._list_of(store, keys))

    # From here on in a thread

    def _prepare(self) -> Keys:
        keys = self._key_source.read()
        try:
            self._file.read()
        except FileNotFoundError:
            problem = "is not there; make one with: asyncsecrets init"
        except OSError as error:
            problem = f"cannot be read: {os.strerror(error.errno or 0)}"
        else:
            return keys
        raise ConfigError(f"local: {self.path} {problem}")

    def _fitting(self, known: Keys, store: Store) -> Keys:
        """The keys; those in the key file now, where none of the known ones is a recipient's: Kubernetes changes it."""
        if set(known.recipients) & set(store.keys):
            return known
        keys = self._key_source.again(known)
        if self._keys is known:  # and not closed meanwhile
            self._keys = keys
        return keys

    def _list_of(self, store: Store, keys: Keys) -> RecipientList:
        return list_of(store, self._fitting(keys, store))

    def _secret(self, keys: Keys, store: Store, name: str, version: str | None) -> Secret:
        entry = store.entry(name, version)
        if entry is None:
            raise self._faults.not_found(name, version)
        if entry.state != "enabled":
            raise self._faults.not_found(name, version, entry.state)
        keys = self._fitting(keys, store)
        try:
            payload = keys.unseal(entry.value, name, entry.version).payload
        except UnsealError as error:
            wrong_key = error.wrong_key
        else:
            return Secret(payload, name=name, version=str(entry.version), created=entry.created)
        raise self._faults.sealed(keys, store, name) if wrong_key else self._faults.tampered(name, entry)


def _info(entry: Entry, *, current: bool) -> VersionInfo:
    return VersionInfo(str(entry.version), entry.created, entry.state, current)


def _second(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(microsecond=0)  # as exact as the file
