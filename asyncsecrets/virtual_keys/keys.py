"""VirtualKeys: the class that programs use."""

from __future__ import annotations

import asyncio
import base64
import builtins
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, Literal, TypeVar

from asyncsecrets.boundary import afresh, configuring
from asyncsecrets.client import SecretsClient, stand_ins
from asyncsecrets.client.store import Store
from asyncsecrets.errors import AccessModeError, ConfigError, DecodeError
from asyncsecrets.replacing import Shelf
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys import renaming, rotation
from asyncsecrets.virtual_keys.bench import Bench
from asyncsecrets.virtual_keys.matching import Match, Matcher
from asyncsecrets.virtual_keys.names import Names
from asyncsecrets.virtual_keys.reconciling import Finding, aliases, reconciled
from asyncsecrets.virtual_keys.rotation import Rotated
from asyncsecrets.virtual_keys.teams import overrides

__all__ = ["VirtualKeys"]

T = TypeVar("T")

_BEGINNING: Final = "sk-"
_RANDOM: Final = 32  # bytes: 256 bits
_CENTURY: Final = 3_155_760_000


class VirtualKeys:
    """The keys that an application issues, kept at one source of ``client`` under its prefix.

        keys = VirtualKeys(secrets)
        key = await keys.create("team-a")
        rotated = await keys.rotate("team-a", grace=3600)
        await keys.verify(candidate)

    An alias is any text; what the manager cannot have in a name is escaped. The source has to say
    ``store_virtual_keys: true``, and an ``access_mode`` that writes; what it forbids is refused before anything is
    sent. In ``write_only`` a change reads the keys that it is about, and nobody else is given any.

    * ``source``: default: the default one.
    * ``grace``: for how many seconds a key that was rotated is accepted, where nothing else is said.
    * ``patience``: after how many seconds what somebody has begun and not ended counts as broken off; a change that
      takes nearly as long itself gives up. 0: at once, where nobody else is at it.
    * ``randomness``: returns that many random bytes. ``now`` is in seconds of the epoch, ``clock`` in monotonic ones;
      ``sleep`` waits. For tests.

    Every method raises ``AsyncSecretsError`` and no other exception of this package.
    """

    @configuring
    def __init__(
        self,
        client: SecretsClient,
        source: str | None = None,
        *,
        grace: float = 3_600.0,
        patience: float = 120.0,
        randomness: Callable[[int], bytes] = secrets.token_bytes,
        now: Callable[[], float] = stand_ins.wall,
        clock: Callable[[], float] = stand_ins.clock,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._grace = _seconds(grace, "grace")
        self._patience = _seconds(patience, "patience")
        self._randomness, self._now, self._clock, self._sleep = randomness, now, clock, sleep
        self._client, self._source = client, source
        self._teams: dict[str, VirtualKeys] = {}
        self._replaced: dict[str, Any] = {}
        self._use(client.store(source))

    def _use(self, store: Store) -> None:
        self._store = store
        self._shelf = Shelf(store, self._sleep)
        self._matcher = Matcher(self._clock, self._randomness(_RANDOM))

    @configuring
    def team(self, settings: Mapping[str, Any] | None) -> VirtualKeys:
        """The keys of a team that has ``settings`` of its own, as LiteLLM's ``secret_manager_settings``. No I/O.

        * Vault: ``namespace``, ``mount``, ``path_prefix``, ``data``.
        * AWS: ``aws_region_name``, ``aws_role_name``, ``aws_session_name``, ``aws_external_id`` and the like.

        Each distinct set of them is one more source of the client, which closes it. Asked for again, it is the same
        object, which knows its keys already. Of a team's own ``team``, the settings of both hold. Raises ConfigError.
        """
        own = overrides(self._store.declared.system, settings)
        if not own:
            return self
        replaced = {**self._replaced, **own}
        store = self._client.store(self._source, replaced)
        return self._teams.get(store.declared.name) or self._team(store, replaced)

    def _team(self, store: Store, replaced: dict[str, Any]) -> VirtualKeys:
        team = self._teams[store.declared.name] = VirtualKeys(
            self._client,
            self._source,
            grace=self._grace,
            patience=self._patience,
            randomness=self._randomness,
            now=self._now,
            clock=self._clock,
            sleep=self._sleep,
        )
        team._teams, team._replaced = self._teams, replaced
        team._use(store)
        return team

    # -- changes

    @afresh
    async def create(self, alias: str, *, replace: bool = False) -> Secret:
        """Make a key and store it. Raises ConflictError where the alias has one, unless that is to be ``replace``\\ d.

        The alias is checked before the key is made: InvalidNameError. What became of a write that is not answered, and
        cannot be decided, is unknown: WriteOutcomeUnknownError.
        """
        return await self._stored(alias, self._mint, replace)

    @afresh
    async def store(self, alias: str, key: str, *, replace: bool = False) -> Secret:
        """Store a key that was made elsewhere. As ``create``; DecodeError for what is no text."""
        given = _sealed(alias, key)
        del key  # what raises from here on has it in no local variable
        if isinstance(given, DecodeError):
            raise given
        return await self._stored(alias, lambda: given, replace)

    @afresh
    async def rotate(self, alias: str, key: str | None = None, *, grace: float | None = None) -> Rotated:
        """Put a new key in the place of the one that the alias has, which is accepted for ``grace`` more seconds.

        The name stays, and is never deleted. The new key is read back before this returns. ``key``: this one, which was
        made elsewhere. A rotation of it that was broken off is finished first.

        Raises SecretNotFoundError; ConflictError where somebody else rotates or writes it; and PartialRotationError
        where it stopped half-way: the old key is accepted, and ``reconcile`` finishes it.
        """
        given = _given(alias, key)
        del key
        if isinstance(given, DecodeError):
            raise given
        seconds = self._grace_of(grace)
        bench = await self._writing(alias)
        held = await renaming.idle(bench, alias)
        done = await rotation.rotated(bench, alias, held, self._mint, given, seconds)
        self._matcher.note(alias, done.key)
        return done

    @afresh
    async def rename(self, alias: str, to: str, key: str | None = None, *, grace: float | None = None) -> Rotated:
        """Give a key another alias. With a ``key``, rotate it to that one at the same time.

        It is written under the new name, and read back, before the old name is deleted. Raises as ``rotate``, and
        ConflictError where the other alias has a key.
        """
        given = _given(alias, key)
        del key
        if isinstance(given, DecodeError):
            raise given
        if alias == to:
            raise ConfigError("a key is renamed to another alias than it has; rotate() gives it another key")
        seconds = self._grace_of(grace)
        bench = await self._writing(alias)
        done = await renaming.renamed(bench, alias, to, given, seconds)
        self._matcher.forget(alias)
        self._matcher.note(to, done.key)
        return done

    @afresh
    async def delete(self, alias: str) -> None:
        """Delete a key, and what is accepted beside it. Deleting what does not exist is not an error."""
        bench = await self._writing(alias)
        await renaming.deleted(bench, alias)
        self._matcher.forget(alias)

    @afresh
    async def reconcile(
        self, fix: Literal["finish", "undo"] | None = None, *, known: Collection[str] | None = None
    ) -> builtins.list[Finding]:
        """Tell what was left half done or left over, and with ``fix`` bring it to an end. See ``Finding``.

        ``known``: the aliases that there should be; keys of others, and those that are missing, are told as well.
        """
        if fix not in {None, "finish", "undo"}:
            raise ConfigError("fix is 'finish', 'undo' or None")
        if isinstance(known, str):
            raise ConfigError("known is a collection of aliases, not one of them")
        if fix is not None:
            self._check_stores()
        bench = await self._bench()
        return await reconciled(bench, fix, known)

    # -- looking

    @afresh
    async def get(self, alias: str) -> Secret:
        """The key of an alias, from memory if it is there. Raises SecretNotFoundError."""
        self._store.check_readable()
        bench = await self._bench()
        return await self._store.get(bench.names.of(alias))

    @afresh
    async def list(self) -> builtins.list[str]:
        """The aliases that have a key, sorted."""
        self._store.check_readable()
        return await aliases(await self._bench())

    @afresh
    async def warm_up(self) -> None:
        """Read every key, so that ``verify`` answers from memory from the start.

        Raises what keeps a key from being read; the others are known then.
        """
        self._store.check_readable()
        await self._matcher.load(await self._bench())

    @afresh
    async def verify(self, candidate: str, alias: str | None = None) -> Match | None:
        """Whose key ``candidate`` is, current or within its grace; None if it is nobody's. Compares in constant time.

        With an ``alias``, only whether it is that one's. Without, every key is read once, and a candidate that is not
        known has them listed anew, at most once a second. What was read is believed for the source's
        ``refresh_interval``: so long may a key be accepted that another process has deleted.
        """
        self._store.check_readable()
        given = _sealed("candidate", candidate)
        del candidate
        if isinstance(given, DecodeError):  # nobody's key is of such characters
            return None
        bench = await self._bench()
        if alias is not None:
            return await self._matcher.match(bench, alias, given)
        return await self._matcher.find(bench, given)

    @afresh
    async def name_of(self, alias: str) -> str:
        """The name that the key of an alias has at the manager. Nothing is sent. Raises InvalidNameError."""
        return (await self._bench()).names.of(alias)

    @afresh
    async def alias_in(self, name: str) -> str:
        """The alias in a name that begins with the prefix, as LiteLLM composes it. Raises InvalidNameError."""
        return (await self._bench()).names.in_full(name)

    # -- inside

    async def _stored(self, alias: str, make: Callable[[], Secret], replace: bool) -> Secret:
        bench = await self._writing(alias)
        await renaming.cleared(bench, alias, replace=replace)
        name, key = bench.names.of(alias), make()
        written = await (self._store.put(name, key) if replace else bench.shelf.create(name, key))
        self._matcher.note(alias, written)
        return written

    async def _writing(self, alias: str) -> Bench:
        """What a change stands on. Raises before anything is sent what forbids it, and what is wrong with the alias."""
        self._check_stores()
        bench = await self._bench()
        bench.names.of(alias)
        return bench.in_time(alias)

    def _check_stores(self) -> None:
        self._store.check_writable()
        if not self._store.declared.store_virtual_keys:
            raise AccessModeError(
                f"source {self._store.declared.name!r} stores no virtual keys; to have it do so, set "
                f"store_virtual_keys: true in its key_management_settings"
            )

    async def _bench(self) -> Bench:
        declared = self._store.declared
        names = Names(declared.virtual_key_prefix, declared.system, await self._store.can_name())
        return Bench(names, self._shelf, self._now, self._patience)

    def _mint(self) -> Secret:
        random = base64.urlsafe_b64encode(self._randomness(_RANDOM)).decode().rstrip("=")
        return Secret(f"{_BEGINNING}{random}", name="virtual key")

    def _grace_of(self, grace: float | None) -> float:
        return self._grace if grace is None else _seconds(grace, "grace")


def _seconds(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _CENTURY:
        raise ConfigError(f"{what} is a number of seconds, from 0 to those of a century ({_CENTURY})")
    return float(value)


def _sealed(alias: str, key: object) -> Secret | DecodeError:
    """A key as a Secret, or the error to raise for what is none: see ``asyncsecrets.client.puts.sealed``."""
    if not isinstance(key, str) or not key:
        return DecodeError("a virtual key is text that is not empty")
    secret = Secret(key, name=alias if isinstance(alias, str) else "virtual key")
    try:
        secret.reveal_bytes()
    except DecodeError:
        return DecodeError("a virtual key is text without lone surrogates")
    return secret


def _given(alias: str, key: str | None) -> Secret | DecodeError | None:
    return None if key is None else _sealed(alias, key)
