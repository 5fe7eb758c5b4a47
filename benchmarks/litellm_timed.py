"""The hook of a LiteLLM proxy, timed: the proxy of ``benchmarks.litellm_proxy`` loads it in the place of ours."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from asyncsecrets.integrations.litellm import AsyncSecrets
from asyncsecrets.integrations.litellm.quiet import _Quiet
from asyncsecrets.integrations.litellm.rotated import Rotated, _Change
from asyncsecrets.loops import current_loop
from benchmarks.loop_notes import Timing

__all__ = ["Timed"]


def _timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*args: Any, **options: Any) -> Any:
        if current_loop() is None:
            return function(*args, **options)
        with Timing(part):
            return function(*args, **options)

    return timed


@types.coroutine
def _in_steps(part: str, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """What ``work`` comes to, each of its steps timed: between two of them the loop is free."""
    step: Callable[[], Any] = functools.partial(work.send, None)
    while True:
        try:
            with Timing(part):
                awaited = step()
        except StopIteration as end:
            return end.value
        try:
            step = functools.partial(work.send, (yield awaited))
        except BaseException as error:
            step = functools.partial(work.throw, error)


def _timed_steps(part: str, function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def timed(*args: Any, **options: Any) -> Any:
        return await _in_steps(part, function(*args, **options))

    return timed


class Timed(AsyncSecrets):
    """``AsyncSecrets``, with every way timed by which LiteLLM's loop comes to us."""

    sync_read_secret = _timed("reads", AsyncSecrets.sync_read_secret)
    async_read_secret = _timed_steps("keys", AsyncSecrets.async_read_secret)
    async_write_secret = _timed_steps("keys", AsyncSecrets.async_write_secret)
    async_rotate_secret = _timed_steps("keys", AsyncSecrets.async_rotate_secret)
    async_delete_secret = _timed_steps("keys", AsyncSecrets.async_delete_secret)


_Quiet.filter = _timed("log", _Quiet.filter)
Rotated._switch = _timed("router", Rotated._switch)
_Change.add = _timed("router", _Change.add)
_Change.drop = _timed("router", _Change.drop)
