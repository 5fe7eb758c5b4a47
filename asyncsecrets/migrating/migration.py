"""Migration: the class that programs use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from asyncsecrets.boundary import afresh, configuring
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ConfigError
from asyncsecrets.migrating.copying import Copier
from asyncsecrets.migrating.names import blocked, crossed, renamed, rules_of
from asyncsecrets.migrating.sides import Side
from asyncsecrets.migrating.steps import Report, Step, reported

__all__ = ["Migration"]

_GIVES_UP: Final = 20
"""At least so many failures without a success between them are not about single secrets."""

_ROUNDS: Final = 5
"""All that are under way may fail at once, by one stall; they are given up when that has happened so often."""

_SHOWN: Final = 5

Heard = Callable[[Step, int, int], object]


class Migration:
    """Copies the current values of secrets from one source to another, which may be another client's.

        migration = Migration(secrets, "old", "new", rename={"app/*": "prod/app/*"})
        print((await migration.plan()).counts)
        report = await migration.apply()

    What is equal at both sides is not written again, so a migration that was broken off is simply made again. Nothing
    is deleted at either side.

    * ``to_client``: the client of the target. Default: ``client``.
    * ``names``: those to be copied. Default: all that are listed, of which ``prefix`` selects some.
    * ``rename``: what becomes of a name; the first rule that is about it holds. One ``*`` stands for any text.
    * ``overwrite``: also copy where another value is there.
    * ``metadata``: custom metadata too, where both managers keep it.
    * ``concurrency``: how many secrets are under way at once.

    Every method raises ``AsyncSecretsError`` and no other exception of this package.
    """

    @configuring
    def __init__(
        self,
        client: SecretsClient,
        origin: str | None,
        target: str | None,
        *,
        to_client: SecretsClient | None = None,
        names: Iterable[str] | None = None,
        prefix: str = "",
        rename: Mapping[str, str] | None = None,
        overwrite: bool = False,
        metadata: bool = True,
        concurrency: int = 10,
    ) -> None:
        if concurrency < 1:
            raise ConfigError("concurrency is 1 or more")
        if isinstance(names, str):
            raise ConfigError("names is a list of names, not one string")
        self._rules = rules_of(rename or {})
        self._is_one_place = origin == target and to_client in {None, client}
        if self._is_one_place and not self._rules:
            raise ConfigError("the two sources are the same one, and no name is to be another: nothing would be copied")
        self._origin, self._target = Side(client, origin), Side(to_client or client, target)
        self._names = None if names is None else list(dict.fromkeys(names))
        self._prefix = prefix
        self._overwrite, self._metadata, self._concurrency = overwrite, metadata, concurrency

    @afresh
    async def plan(self, heard: Heard | None = None) -> Report:
        """What ``apply`` would do. Reads both sides, and writes nothing.

        ``heard(step, done, total)`` is called with each secret that was looked at.
        """
        pairs = await self._pairs()
        blocks = await self._blocked(pairs)
        found = {step.name for step in blocks}
        rest = {name: to for name, to in pairs.items() if name not in found}
        return reported([*blocks, *await self._each(rest, heard, applies=False)], applied=False)

    @afresh
    async def apply(self, heard: Heard | None = None) -> Report:
        """Copy, read back by exact version, and compare. What fails stands in the report, and does not stop the rest,
        unless everything fails.

        Raises ConfigError before anything is written where names collide, or cannot be had at the target. ``heard`` is
        as for ``plan``.
        """
        self._target.store.check_writable()
        pairs = await self._pairs()
        blocks = await self._blocked(pairs)
        if blocks:
            raise ConfigError(_refusal(blocks))
        return reported(await self._each(pairs, heard, applies=True), applied=True)

    async def _pairs(self) -> dict[str, str]:
        self._origin.store.check_readable()
        names = await self._origin.store.list(self._prefix) if self._names is None else self._names
        return {name: renamed(name, self._rules) for name in names if name.startswith(self._prefix)}

    async def _blocked(self, pairs: Mapping[str, str]) -> list[Step]:
        can_name = await self._target.store.can_name()
        blocks = blocked(pairs, can_name, self._target.store.spellings)
        return [*blocks, *crossed(pairs)] if self._is_one_place and not blocks else blocks

    async def _each(self, pairs: Mapping[str, str], heard: Heard | None, *, applies: bool) -> list[Step]:
        copier = Copier(self._origin, self._target, applies, self._overwrite, self._metadata)
        rest, steps, failures = iter(pairs.items()), list[Step](), 0

        async def work() -> None:
            nonlocal failures
            for name, to in rest:
                given_up = failures >= max(_GIVES_UP, _ROUNDS * self._concurrency)
                step = Step(name, to, "untried") if given_up else await copier.copied(name, to)
                if step.state != "untried":
                    failures = failures + 1 if step.state == "failed" else 0
                steps.append(step)
                if heard is not None:
                    heard(step, len(steps), len(pairs))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._concurrency, len(pairs))):
                group.create_task(work())
        return steps


def _refusal(blocks: list[Step]) -> str:
    lines = [f"{step.name!r} as {step.to!r}: {_why(step)}" for step in blocks[:_SHOWN]]
    more = [f"and {len(blocks) - _SHOWN} more"] if len(blocks) > _SHOWN else []
    return "\n  ".join(["nothing was written, because of these names (a rule to rename them helps):", *lines, *more])


def _why(step: Step) -> str:
    return f"the same name {step.note}" if step.state == "collision" else step.note
