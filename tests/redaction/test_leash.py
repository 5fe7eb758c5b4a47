"""SDKs that log secrets are kept quiet while our clients live."""

from __future__ import annotations

import io
import logging
import logging.config
import time
from collections.abc import Iterator
from typing import Any

import pytest

from asyncsecrets.redaction import contain, contain_new


class TestContain:
    """SDK loggers at DEBUG are kept at INFO while a client of theirs lives."""

    @staticmethod
    def levels(*names: str) -> list[int]:
        """Their own levels."""
        return [logging.getLogger(name).level for name in names]

    def test_below_info_is_silenced_and_comes_back(self) -> None:
        """The logger itself and those below it that have a level of their own."""
        names = ("chatty", "chatty.wire", "chatty.wire.deep", "chattyness")
        for name in names:
            logging.getLogger(name).setLevel(logging.DEBUG)
        with contain("chatty"):
            assert self.levels(*names) == [logging.INFO, logging.INFO, logging.INFO, logging.DEBUG]
            assert not logging.getLogger("chatty.made.later").isEnabledFor(logging.DEBUG)
        assert self.levels(*names) == [logging.DEBUG] * 4

    def test_nobody_is_made_to_say_more(self) -> None:
        """A logger that was silent up to WARNING stays so: its own level, or that of those above it."""
        root = logging.getLogger()
        before = root.level
        root.setLevel(logging.WARNING)
        logging.getLogger("quiet.child").setLevel(logging.ERROR)
        try:
            with contain("silent", "quiet"):
                assert not logging.getLogger("silent").isEnabledFor(logging.INFO)
                assert logging.getLogger("quiet.child").level == logging.ERROR
        finally:
            root.setLevel(before)
        assert self.levels("silent", "quiet") == [logging.NOTSET] * 2

    def test_root_at_debug(self) -> None:
        """Levels that are inherited are contained as well."""
        root = logging.getLogger()
        before = root.level
        root.setLevel(logging.DEBUG)
        try:
            with contain("inherits"):
                assert not logging.getLogger("inherits.child").isEnabledFor(logging.DEBUG)
                assert logging.getLogger("inherits.child").isEnabledFor(logging.INFO)
            assert logging.getLogger("inherits.child").isEnabledFor(logging.DEBUG)
        finally:
            root.setLevel(before)

    def test_contexts_overlap(self) -> None:
        """The old level comes back after the last of them, in whatever order they end."""
        logger = logging.getLogger("overlap")
        logger.setLevel(logging.DEBUG)
        first, second = contain("overlap"), contain("overlap", "other")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert logger.level == logging.INFO
        second.__exit__(None, None, None)
        assert logger.level == logging.DEBUG

    def test_it_ends_with_an_exception_too(self) -> None:
        """And what raised goes through."""
        logging.getLogger("raises").setLevel(logging.DEBUG)
        with pytest.raises(ZeroDivisionError), contain("raises"):
            raise ZeroDivisionError
        assert self.levels("raises") == [logging.DEBUG]

    def test_a_level_that_was_set_meanwhile_is_kept(self) -> None:
        """Whoever configures logging while we run is not overruled afterwards."""
        logger = logging.getLogger("meanwhile")
        logger.setLevel(logging.DEBUG)
        with contain("meanwhile"):
            logger.setLevel(logging.ERROR)
        assert logger.level == logging.ERROR


LATER: dict[str, Any] = {
    "level": lambda: logging.getLogger("chatty").setLevel(logging.DEBUG),
    "level below": lambda: logging.getLogger("chatty.wire").setLevel(logging.DEBUG),
    "everything": lambda: logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"all": {"name": ""}},
            "loggers": {name: {"level": 1, "filters": ["all"]} for name in ("chatty", "chatty.wire")},
        }
    ),
    "increment": lambda: logging.config.dictConfig(
        {"version": 1, "incremental": True, "loggers": {name: {"level": 1} for name in ("chatty", "chatty.wire")}}
    ),
    "file": lambda: logging.config.fileConfig(
        io.StringIO(
            "[loggers]\nkeys=root,c\n[handlers]\nkeys=\n[formatters]\nkeys=\n[logger_root]\nhandlers=\n"
            "[logger_c]\nqualname=chatty.wire\nlevel=DEBUG\nhandlers=\n"
        ),
        disable_existing_loggers=False,
    ),
}


@pytest.fixture
def chatty(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What loggers below ``chatty`` say, at whatever level; they are as before afterwards."""
    heard: list[str] = []
    root, top, wire = (logging.getLogger(name) for name in (None, "chatty", "chatty.wire"))
    before = root.handlers[:], root.level
    for logger in (top, wire):
        logger.setLevel(logging.NOTSET)
    yield heard
    root.handlers[:], level = before
    root.setLevel(level)
    for logger in (top, wire):
        logger.setLevel(logging.NOTSET)
        logger.filters.clear()


def _say(heard: list[str], *names: str) -> None:
    ear = logging.Handler()
    ear.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(ear)
    try:
        for name in names:
            logging.getLogger(name).debug("%s: the bytes", name)
            logging.getLogger(name).warning("%s warns", name)
    finally:
        logging.getLogger().removeHandler(ear)


@pytest.mark.parametrize("how", LATER)
def test_logging_that_is_configured_later(chatty: list[str], how: str) -> None:
    """What turns DEBUG on while it is contained, by level or by configuration, hears no more of it than before."""
    with contain("chatty"):
        LATER[how]()
        _say(chatty, "chatty", "chatty.wire")
    assert chatty == ["chatty warns", "chatty.wire warns"]
    LATER[how]()
    _say(chatty, "chatty.wire")
    assert chatty[2:] == ["chatty.wire: the bytes", "chatty.wire warns"]


def test_loggers_that_are_made_later(chatty: list[str]) -> None:
    """They are contained from the next use of the SDK on, whatever level they are given; and are let go of as well."""
    name = f"chatty.{time.perf_counter_ns()}"
    with contain("chatty"):
        for logger in ("chatty", name):
            logging.getLogger(logger).setLevel(logging.DEBUG)
        contain_new()
        _say(chatty, name)
        assert chatty == [f"{name} warns"]
    assert logging.getLogger(name).filters == []
