"""One secret: compared, written where that is to be done, read back, and described as at the other side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from asyncsecrets.boundary import fresh
from asyncsecrets.errors import AsyncSecretsError, ConflictError, InvalidNameError, UnsupportedOperationError
from asyncsecrets.migrating.sides import Seen, Side, Value
from asyncsecrets.migrating.steps import Step

__all__ = ["Copier"]


@dataclass(slots=True)
class Copier:
    """Copies from ``origin`` to ``target``: looks only, unless ``applies``.

    ``overwrites``: also where another value is there. ``describes``: with custom metadata, until one of the two turns
    out to keep none.
    """

    origin: Side
    target: Side
    applies: bool
    overwrites: bool
    describes: bool

    async def copied(self, name: str, to: str) -> Step:
        """What became, or would become, of one secret. Raises nothing of ours."""
        try:
            return await self._copied(name, to)
        except ConflictError as error:
            return Step(name, to, "conflict", error.message, fresh(error))
        except InvalidNameError as error:
            return Step(name, to, "invalid", error.message, fresh(error))
        except AsyncSecretsError as error:
            return Step(name, to, "failed", error.message, fresh(error))

    async def _copied(self, name: str, to: str) -> Step:
        origin = await self.origin.look(name)
        if origin.value is None:
            return Step(name, to, "gone", f"it has no current value ({origin.why})")
        there = await self.target.look(to)
        step = self._compared(name, to, origin.value, there)
        if not step.is_fine:
            return step
        if step.state != "equal":
            self.target.check(to, origin.value)
        if not self.applies:
            return step
        if step.state != "equal":
            await self.target.write(to, origin.value, there)
        return await self._described(step)

    def _compared(self, name: str, to: str, value: Value, there: Seen) -> Step:
        if there.value is None:
            note = "" if there.why == "absent" else f"what is there is {there.why}"
            return Step(name, to, "created" if self.applies else "create", note)
        if value.equals(there.value):
            return Step(name, to, "equal")
        if not self.overwrites:
            return Step(name, to, "conflict", "another value is there")
        return Step(name, to, "replaced" if self.applies else "replace")

    async def _described(self, step: Step) -> Step:
        """The step, with custom metadata carried over where both managers keep it. Its failure undoes no copy."""
        if not self.describes:
            return step
        try:
            await self._describe(step.name, step.to)
        except UnsupportedOperationError:
            self.describes = False
        except AsyncSecretsError as error:
            return replace(step, note=f"its metadata was not copied: {error.message}")
        return step

    async def _describe(self, name: str, to: str) -> None:
        custom = (await self.origin.store.metadata(name)).custom
        there = (await self.target.store.metadata(to)).custom
        wanted = merged(custom, there, overwrites=self.overwrites)
        if wanted != dict(there):
            await self.target.store.write_custom_metadata(to, wanted)


def merged(custom: Mapping[str, str], there: Mapping[str, str], *, overwrites: bool) -> dict[str, str]:
    """What is there stays, and has the last word unless it is to be overwritten."""
    return {**there, **custom} if overwrites else {**custom, **there}
