"""A provider key that was rotated reaches LiteLLM's router while it runs.

LiteLLM resolves ``os.environ/NAME`` once, when it starts, and names a model that has no id of its own after a hash of
its parameters. With a database it also compares these hashes with the file's every few seconds, resolved anew, and
removes from the router what it does not find there: a rotated key would take its model away.

So each model is added to the router with the new value, beside the one with the old value: one in a turn of LiteLLM's
loop, for the router takes some milliseconds. When all are there, LiteLLM is given the new value, and the old ones are
taken out. In every turn the comparison leaves each model in one of the two forms.

What else of the file holds a secret keeps the old one until LiteLLM is started again; that is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.journal import ROTATION, few, one_line, say
from asyncsecrets.loops import spawn, tell
from asyncsecrets.references import parse
from asyncsecrets.secret import Secret

__all__ = ["Rotated", "models_of"]

_PROXY: Final = "litellm.proxy.proxy_server"
_LOOK_AGAIN: Final = 1.0  # seconds, while LiteLLM starts and has no router yet

Models = Mapping[int, Mapping[str, str]]
"""By its place in ``model_list``, the parameters of a model that are secrets, and their names."""


def models_of(document: Mapping[str, Any]) -> Models:
    """The models of a configuration that have a secret as a parameter."""
    models = document.get("model_list")
    found = {place: _secrets_of(model) for place, model in enumerate(models if isinstance(models, list) else [])}
    return {place: secrets for place, secrets in found.items() if secrets}


def _secrets_of(model: Any) -> dict[str, str]:
    parameters = model.get("litellm_params") if isinstance(model, Mapping) else None
    if not isinstance(parameters, Mapping):
        return {}
    return {key: name for key, value in parameters.items() if (name := _name_in(value)) is not None}


def _name_in(value: Any) -> str | None:
    if not isinstance(value, str) or not value.startswith("os.environ/"):
        return None
    try:
        return parse(value).name
    except (ConfigError, InvalidNameError):
        return None


class Rotated:
    """What LiteLLM is given of the ``models`` of its file. ``elsewhere`` are the names that it uses in other places.

    ``peek`` returns what is current of a name; ``loop`` the loop that LiteLLM serves on, if it is known.
    """

    def __init__(
        self,
        models: Models,
        elsewhere: Mapping[str, str],
        *,
        peek: Callable[[str], Secret | None],
        loop: Callable[[], asyncio.AbstractEventLoop | None],
    ) -> None:
        self._models = models
        self._names = {name for secrets in models.values() for name in secrets.values()}
        self._elsewhere = elsewhere
        self._peek = peek
        self._loop = loop
        self._given: dict[str, Secret] = {}
        self._wanted: deque[str] = deque()
        self._changing: asyncio.Task[None] | None = None

    def given(self, name: str, current: Secret) -> Secret:
        """What LiteLLM is given for ``name`` now: the router's, for a model's parameter."""
        return self._given.setdefault(name, current) if name in self._names else current

    def heard(self, name: str, _: Secret) -> None:
        """``name`` has another value. Called on the client's loop."""
        if name in self._elsewhere:
            where = (
                f"LiteLLM read it for {self._elsewhere[name]} when it started; start it again for it to use the new one"
            )
            say(ROTATION, logging.WARNING, "%s", one_line(f"{name!r} was rotated, and {where}"))
        if name in self._given:
            loop = self._loop()
            if loop is None or not tell(loop, partial(self._want, name)):
                self._given.pop(name, None)

    def _want(self, name: str) -> None:
        """Have the router changed, one name after another: a model may have several. Runs on LiteLLM's loop."""
        self._wanted.append(name)
        task = self._changing  # in the child of a fork one of the parent's, whose loop does not run here
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            self._changing = spawn(self._change_all(), name="asyncsecrets-rotated")

    async def _change_all(self) -> None:
        while self._wanted:
            await self._change(self._wanted.popleft())

    async def _change(self, name: str) -> None:
        proxy = sys.modules.get(_PROXY)
        while proxy is not None and getattr(proxy, "llm_router", None) is None:  # noqa: ASYNC110  # LiteLLM tells nobody
            await asyncio.sleep(_LOOK_AGAIN)
        new = self._peek(name)
        if new is None or new.equals(self._given.get(name, "")):
            return
        changes = [] if proxy is None else self._changes(proxy, name, {**self._given, name: new})
        for change in changes:
            change.add()
            await asyncio.sleep(0)
        self._switch(name, new, changes)
        for change in changes:
            await asyncio.sleep(0)
            change.drop()
        self._tell_left(name, [change.model for change in changes if not change.is_added])

    def _switch(self, name: str, new: Secret, changes: list[_Change]) -> None:
        """From here on LiteLLM is given the new value. A comparison in between has taken out what it did not know."""
        for change in changes:
            change.add_again()
        self._given[name] = new

    def _changes(self, proxy: Any, name: str, after: Mapping[str, Secret]) -> list[_Change]:
        """What there is to do for every deployment that has ``name``."""
        entries = getattr(getattr(proxy, "proxy_config", None), "config", {}).get("model_list") or []
        return [
            _Change(proxy, entry, _texts(secrets, self._given), _texts(secrets, after))
            for place, secrets in self._models.items()
            if name in secrets.values()
            for entry in [entries[place] if place < len(entries) else {"model_name": str(place)}]
        ]

    def _tell_left(self, name: str, left: list[str]) -> None:
        if left:
            text = (
                f"{name!r} was rotated, and LiteLLM goes on with the old one until it is started again, in the models"
            )
            say(ROTATION, logging.WARNING, "%s", one_line(f"{text} {few(left, len(left))}"))


@dataclass(slots=True)
class _Change:
    """A model of the file, served by ``proxy`` with ``new`` parameters in the place of ``old`` ones, if it has it.

    Nothing is raised: LiteLLM's errors may show its parameters.
    """

    proxy: Any
    entry: Mapping[str, Any]
    old: Mapping[str, str]
    new: Mapping[str, str]
    is_added: bool = False

    @property
    def model(self) -> str:
        return str(self.entry["model_name"])

    @property
    def _router(self) -> Any:
        return self.proxy.llm_router  # LiteLLM may make another one meanwhile

    def add(self) -> None:
        """Add it with its new parameters; under an id of its own, it is replaced."""
        try:
            deployment = self._router.get_deployment(self._id(self.old))
            if deployment is not None:
                for key, value in self.new.items():
                    setattr(deployment.litellm_params, key, value)
                deployment.model_info.id = self._id(self.new)
                self._router.upsert_deployment(deployment)
                self.is_added = self._is_there()
        except Exception:  # noqa: BLE001
            self.is_added = False

    def add_again(self) -> None:
        if self.is_added and not self._is_there():
            self.add()

    def drop(self) -> None:
        """Take out the one with the old parameters."""
        if self.is_added and self._id(self.old) != self._id(self.new):
            with contextlib.suppress(Exception):
                self._router.delete_deployment(self._id(self.old))

    def _is_there(self) -> bool:
        return self._router.get_deployment(self._id(self.new)) is not None

    def _id(self, parameters: Mapping[str, str]) -> str:
        own = (self.entry.get("model_info") or {}).get("id")
        if own is not None:
            return str(own)
        resolved = {**self.entry["litellm_params"], **parameters}
        return str(self._router.generate_model_id(self.entry["model_name"], resolved))


def _texts(secrets: Mapping[str, str], given: Mapping[str, Secret]) -> dict[str, str]:
    return {key: given[name].reveal() for key, name in secrets.items() if name in given}
