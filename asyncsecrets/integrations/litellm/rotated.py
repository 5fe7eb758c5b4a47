"""A provider key that was rotated reaches LiteLLM's router while it runs.

LiteLLM resolves ``os.environ/NAME`` once, when it starts, and names a model that has no id of its own after a hash of
its parameters. With a database it also compares these hashes with the file's every few seconds, resolved anew, and
removes from the router what it does not find there: a rotated key would take its model away.

So LiteLLM is given the value that its router has, until the router has the next one: both change in one step, on
LiteLLM's loop. What else of the file holds a secret keeps the old one until LiteLLM is started again; that is logged.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.journal import ROTATION, few, one_line, say
from asyncsecrets.loops import tell
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
            if loop is None or not tell(loop, partial(self._apply, name)):
                self._given.pop(name, None)

    def _apply(self, name: str) -> None:
        """Runs on LiteLLM's loop, without a pause in which anybody could see half of it."""
        new, proxy = self._peek(name), sys.modules.get(_PROXY)
        if new is None or new.equals(self._given.get(name, "")):
            return
        router = getattr(proxy, "llm_router", None)
        if proxy is not None and router is None:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._apply, name)
            return
        before, self._given[name] = dict(self._given), new
        left = [] if proxy is None else self._replace_all(proxy, router, name, before)
        if left:
            text = (
                f"{name!r} was rotated, and LiteLLM goes on with the old one until it is started again, in the models"
            )
            say(ROTATION, logging.WARNING, "%s", one_line(f"{text} {few(left, len(left))}"))

    def _replace_all(self, proxy: Any, router: Any, name: str, before: Mapping[str, Secret]) -> list[str]:
        """Replace every deployment that has ``name``. Return the models of which that could not be done."""
        entries = getattr(getattr(proxy, "proxy_config", None), "config", {}).get("model_list") or []
        left = []
        for place, secrets in self._models.items():
            if name in secrets.values() and not self._is_replaced(router, entries[place : place + 1], secrets, before):
                left.append(str(entries[place]["model_name"]) if place < len(entries) else str(place))
        return left

    def _is_replaced(
        self, router: Any, entry: list[Any], secrets: Mapping[str, str], before: Mapping[str, Secret]
    ) -> bool:
        try:
            return bool(entry) and _replace(router, entry[0], _texts(secrets, before), _texts(secrets, self._given))
        except Exception:  # noqa: BLE001  # LiteLLM's, whose text may show its parameters
            return False


def _texts(secrets: Mapping[str, str], given: Mapping[str, Secret]) -> dict[str, str]:
    return {key: given[name].reveal() for key, name in secrets.items() if name in given}


def _replace(router: Any, entry: Mapping[str, Any], old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Have ``router`` serve a model of the file with ``new`` parameters in the place of ``old`` ones, if it has it."""
    own = (entry.get("model_info") or {}).get("id")
    ids = [
        str(own)
        if own is not None
        else router.generate_model_id(entry["model_name"], {**entry["litellm_params"], **some})
        for some in (old, new)
    ]
    deployment = router.get_deployment(ids[0])
    if deployment is None:
        return False
    for key, value in new.items():
        setattr(deployment.litellm_params, key, value)
    deployment.model_info.id = ids[1]
    router.upsert_deployment(deployment)
    if ids[0] != ids[1]:
        router.delete_deployment(ids[0])
    return router.get_deployment(ids[1]) is not None
