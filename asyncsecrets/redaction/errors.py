"""Exceptions that show a value: another one of the same class in the place of each, with its text and arguments masked.

The traceback is kept, line by line, but of frames that have no local variables: loguru, rich and structlog show those.
"""

from __future__ import annotations

import builtins
import contextlib
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from asyncsecrets.redaction.known import known

__all__ = ["masked", "stand_in", "texts", "trace"]

_FRAMES: Final = 200
_LOCALS: Final = 50  # looked at per frame
_LONGEST: Final = 4096  # characters of one of them; who shows local variables cuts them sooner


def trace(error: BaseException) -> str:
    """Return the usual traceback."""
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # noqa: BLE001  # an exception whose str() fails
        return type(error).__name__


def texts(error: BaseException) -> list[object]:
    """Return what may be shown of an exception and those behind it."""
    found: list[object] = []
    for link in _chain(error):
        found += [_text(str, link), _text(repr, link), list(getattr(link, "args", ())), vars(link)]
        found += _locals(link.__traceback__)
    return found


def masked(error: BaseException, mask: Callable[[Any], Any]) -> BaseException:
    """Return ``error``, or a stand-in if it or one behind it shows a value. ``mask`` masks its arguments and
    attributes."""
    return stand_in(error, mask) if _shows(error, mask) else error


def stand_in(error: BaseException, mask: Callable[[Any], Any], *, frames: bool = True) -> BaseException:
    """Return another exception like ``error``, masked; without ``frames`` without a traceback."""
    return _StandIns(mask, frames).of(error)


def _shows(error: BaseException, mask: Callable[[Any], Any]) -> bool:
    return any(known.found(part) if isinstance(part, str) else mask(part) is not part for part in texts(error))


def _chain(error: BaseException) -> list[BaseException]:
    """The exception, its causes and contexts, and the members of groups."""
    found: dict[int, BaseException] = {}
    todo: list[BaseException | None] = [error]
    while todo:
        link = todo.pop()
        if link is not None and id(link) not in found:
            found[id(link)] = link
            todo += [link.__cause__, link.__context__]
            todo += link.exceptions if isinstance(link, BaseExceptionGroup) else []
    return list(found.values())


def _text(show: Callable[[object], str], error: BaseException) -> str:
    try:
        return show(error)
    except Exception:  # noqa: BLE001  # somebody's class
        return f"<{type(error).__name__}>"


def _locals(trace: types.TracebackType | None) -> Iterator[str]:
    """The texts among the local variables, directly or one level down."""
    for at in islice(_frames(trace), _FRAMES):
        for value in islice(list(at.tb_frame.f_locals.values()), _LOCALS):
            yield from _cut(_near(value))


def _near(value: Any) -> Iterable[object]:
    if type(value) is dict:
        return [*islice(value, _LOCALS), *islice(value.values(), _LOCALS)]
    return value[:_LOCALS] if type(value) in {list, tuple} else [value]


def _cut(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield str.__str__(value)[:_LONGEST]
        elif isinstance(value, bytes):
            yield repr(value[:_LONGEST])


def _frames(trace: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


class _StandIns:
    """The stand-ins of one chain of exceptions."""

    def __init__(self, mask: Callable[[Any], Any], frames: bool) -> None:
        self._mask = mask
        self._keeps_frames = frames
        self._made: dict[int, BaseException] = {}

    def of(self, error: BaseException) -> BaseException:
        """Return what stands in for ``error``."""
        if id(error) not in self._made:
            made = self._made[id(error)] = self._new(error)
            for name, value in vars(error).items():
                made.__dict__[name] = self._mask(value)
            made.__traceback__ = _bare(error.__traceback__) if self._keeps_frames else None
            made.__cause__ = self.of(error.__cause__) if error.__cause__ else None
            made.__context__ = self.of(error.__context__) if error.__context__ else None
            made.__suppress_context__ = error.__suppress_context__
        return self._made[id(error)]

    def _new(self, error: BaseException) -> BaseException:
        """One of its class, or of the nearest one that lets itself be made."""
        for base in type(error).__mro__:
            with contextlib.suppress(Exception):  # somebody's class
                return self._made_of(base, error)
        return Exception(type(error).__name__)

    def _made_of(self, base: Any, error: BaseException) -> BaseException:
        kind = type(error)
        if "__init_subclass__" in vars(base) and base.__module__ != builtins.__name__:
            raise TypeError("makes something of its subclasses")
        text, shown = known.mask(_text(str, error)), known.mask(_text(repr, error))
        names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
        shows = {"__str__": lambda _: text, "__repr__": lambda _: shown}
        stand_in = types.new_class(kind.__name__, (base,), exec_body=lambda body: body.update(names | shows))
        if isinstance(error, BaseExceptionGroup):
            return BaseExceptionGroup.__new__(
                stand_in, known.mask(error.message), [self.of(e) for e in error.exceptions]
            )
        made = base.__new__(stand_in, *self._mask(error.args))
        assert isinstance(made, BaseException)  # noqa: S101  # else the next class is tried
        return made


def _bare(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback, of frames that stand at the same places and have nothing in them."""
    made: types.TracebackType | None = None
    for at in reversed(list(_frames(trace))):
        made = types.TracebackType(made, _empty(at), -1, at.tb_lineno)
    return made


def _empty(at: types.TracebackType) -> types.FrameType:
    code = at.tb_frame.f_code
    like = _place.__code__.replace(
        co_filename=code.co_filename, co_name=code.co_name, co_qualname=code.co_qualname, co_firstlineno=at.tb_lineno
    )
    names = {name: at.tb_frame.f_globals.get(name) for name in ("__name__", "__file__", "__loader__")}  # of its source
    frame: types.FrameType = types.FunctionType(like, names)().gi_frame
    return frame


def _place() -> Iterator[None]:
    yield
