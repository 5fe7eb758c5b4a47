"""What every part of a client stands on: the sources, the way to them, and whether it is closed."""

from __future__ import annotations

from asyncsecrets.client.hot import Hot
from asyncsecrets.client.places import Route
from asyncsecrets.client.routing import Router
from asyncsecrets.client.source import Source
from asyncsecrets.client.variants import Variants
from asyncsecrets.client.watching import Watchers
from asyncsecrets.errors import ClosedError
from asyncsecrets.loops import LoopBound

__all__ = ["Parts"]


class Parts(LoopBound):
    """What a client is made of: its sources, and the way to them.

    What is warm of them is in ``hot``, and ``watchers`` hear of it. ``variants`` of the sources are made on demand.
    """

    _started = _closed = False
    _sources: dict[str, Source] = {}  # noqa: RUF012  # none, where the constructor did not get that far

    def __init__(self, router: Router, hot: Hot, watchers: Watchers, variants: Variants) -> None:
        self._hot = hot
        self._watchers = watchers
        self._sources = dict(router.sources)
        self._variants = variants
        self._router = router

    def _unique(self) -> list[Source]:
        variants = self._variants.made if self._sources else ()
        return list(dict.fromkeys([*self._sources.values(), *variants]))  # the environment may have two names

    def _route(self, name: str, source: str | None) -> Route[Source]:
        self._check_open()
        return self._router.route_with(name, version=None, field=None, source=source)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("this SecretsClient is closed; open it with `async with`, or build a new one")
