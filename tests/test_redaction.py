"""The net below everything: values handed out are masked in logs; SDKs that log secrets are kept quiet."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsecrets
from asyncsecrets import redaction
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.redaction import RedactionFilter, contain, contain_new, handed_out
from asyncsecrets.secret import MASK
from tests.client.support import Manager, client_of, client_with

CANARY = 'canary "quoted" \\ é\n/second=line&'


@pytest.fixture(autouse=True)
def _forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test knows its own values only."""
    monkeypatch.setattr(redaction, "_known", redaction._Known())


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger whose handler has the filter, and what it printed."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactionFilter())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("redaction-test.child")
    parent = logging.getLogger("redaction-test")
    parent.addHandler(handler)
    parent.propagate = False
    logger.setLevel(logging.DEBUG)
    yield logger, out
    parent.removeHandler(handler)


class Shows:
    """An object whose str or repr shows a value."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return f"it is {self.text}"


FORMS = {
    "as it is": CANARY,
    "JSON": json.dumps(CANARY)[1:-1],
    "JSON, not escaped to ASCII": json.dumps(CANARY, ensure_ascii=False)[1:-1],
    "repr": repr(CANARY)[1:-1],
    "bytes repr": repr(CANARY.encode())[2:-1],
    "percent-encoded": quote(CANARY, safe=""),
    "form-encoded": quote_plus(CANARY),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "place", ["message", "argument", "mapping", "object", "extra", "extra object", "exception", "cause", "stack"]
)
def test_every_form_in_every_place(log: tuple[logging.Logger, io.StringIO], form: str, place: str) -> None:
    """Of a value that was handed out, nothing is printed, and a mask stands in its place."""
    logger, out = log
    written = FORMS[form]
    logger.error("before it was handed out: %s", written)
    assert written in out.getvalue()
    out.seek(0)
    out.truncate()
    handed_out(CANARY)
    formatter = logging.Formatter("%(message)s %(key)s", defaults={"key": ""})
    logging.getLogger("redaction-test").handlers[0].setFormatter(formatter)
    if place == "message":
        logger.error(f"a {written} b")  # noqa: G004  # values get into messages this way too
    elif place == "argument":
        logger.error("a %s b", written)
    elif place == "mapping":
        logger.error("a %(x)s b", {"x": written})
    elif place == "object":
        logger.error("a %s b", Shows(written))
    elif place == "extra":
        logger.error("a", extra={"key": f"a {written} b"})
    elif place == "extra object":
        logger.error("a", extra={"key": Shows(written)})
    elif place == "exception":
        logger.error("a", exc_info=ValueError(f"a {written} b"))
    elif place == "cause":
        error = ValueError("outer")
        error.__cause__ = ValueError(f"a {written} b")
        logger.error("a", exc_info=error)
    else:
        record = logger.makeRecord(logger.name, logging.ERROR, "f", 1, "a", (), None, sinfo=f"stack {written}")
        logger.handle(record)
    assert MASK in out.getvalue()
    assert written not in out.getvalue()
    assert "canary" not in out.getvalue()


def test_what_a_json_formatter_sees(log: tuple[logging.Logger, io.StringIO]) -> None:
    """A handler that dumps the record's dict finds no value in it: not in args, not in nested extras."""
    logger, out = log

    class Dumps(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps(record.__dict__, default=repr)

    logging.getLogger("redaction-test").handlers[0].setFormatter(Dumps())
    handed_out(CANARY)
    logger.error("a %s", {"deep": [CANARY]}, extra={"nested": {"key": [CANARY]}, "plain": "stays"})
    logger.error("a %s", Shows("fine"), extra={"shows": Shows(CANARY)})
    assert "canary" not in out.getvalue()
    assert "stays" in out.getvalue()
    assert "it is fine" in out.getvalue() or "Shows" in out.getvalue()


def test_what_holds_no_value_is_left_alone(log: tuple[logging.Logger, io.StringIO]) -> None:
    """Message, arguments, exception and extras are the very objects that were logged."""
    handed_out(CANARY)
    error = ValueError("harmless")
    extra = {"key": {"a": 1}}
    record = logging.makeLogRecord({"msg": "a %s", "args": ("b",), "exc_info": (ValueError, error, None), **extra})
    assert RedactionFilter().filter(record)
    assert (record.msg, record.args, record.exc_info[1]) == ("a %s", ("b",), error)  # type: ignore[index]
    assert record.__dict__["key"] is extra["key"]


class Fails:
    """An object that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("canary-in-a-failing-str")

    __repr__ = __str__


def test_it_never_raises(log: tuple[logging.Logger, io.StringIO], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments, objects that cannot be shown, exceptions that cannot: the record passes, masked."""
    logger, out = log
    handed_out(CANARY)

    class UnshowableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    for message in ("a %d", "a %s %s", "a"):
        logger.error(message, CANARY)
    logger.error("b", extra={"key": Fails()})
    logger.error("c", exc_info=UnshowableError())
    logger.error(Fails())
    assert "canary" not in out.getvalue() + capsys.readouterr().err
    assert out.getvalue().count("ERROR") == 6


@given(st.text(min_size=6), st.text(), st.text())
def test_whatever_the_value_it_is_not_in_the_text(value: str, before: str, after: str) -> None:
    """Masking removes every occurrence, also where occurrences overlap."""
    known = redaction._known
    known.watching = True
    known.add(value)
    masked = redaction._mask(before + value + value + after + value[:-1])
    assert value not in masked.replace(MASK, "\0") or value in MASK


def test_overlapping_values_are_masked_as_one() -> None:
    """Of two values that share a piece of the text, no piece is left."""
    RedactionFilter()
    handed_out("canary-first-second")
    handed_out("second-canary-third")
    assert redaction._mask("x canary-first-second-canary-third y") == f"x {MASK} y"


def test_short_values_are_not_masked_and_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer than six characters would garble the log; more than the limit would fill memory."""
    monkeypatch.setattr(redaction, "_LIMIT", 100)
    RedactionFilter()
    handed_out("short")
    for i in range(1000):
        handed_out(f"canary-{i:04}-é\n")
        handed_out(f"{i:04}-canary")
    assert len(redaction._known.values) == 100
    assert sum(len(forms) for forms in redaction._known.forms.values()) <= 700
    assert redaction._mask("short canary-0000-é\n") == "short canary-0000-é\n"
    assert redaction._mask("canary-0999-é\n 0999-canary") == f"{MASK} {MASK}"


def test_a_form_that_is_another_ones_value_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """When an old value leaves, what it shares with one that stays, stays."""
    monkeypatch.setattr(redaction, "_LIMIT", 2)
    RedactionFilter()
    for value in ('canary"x', 'canary\\"x', "canary-third"):
        handed_out(value)
    assert redaction._mask('canary\\"x') == MASK


def test_nothing_is_remembered_while_nobody_masks() -> None:
    """Without a filter, values are not kept."""
    handed_out(CANARY)
    assert not redaction._known.values


def test_it_costs_little_however_many_values_there_are() -> None:
    """A record is looked through once, not once for each value."""
    RedactionFilter()
    for i in range(redaction._LIMIT):
        handed_out(f"canary-{i}-{'x' * 30}")
    record = {"msg": "request %s took %d ms " + "y" * 200, "args": ("GET /", 12)}
    masking = RedactionFilter()
    started = time.perf_counter()
    for _ in range(100):
        masking.filter(logging.makeLogRecord(record))
    assert time.perf_counter() - started < 0.5


def test_threads_may_log_while_values_are_handed_out() -> None:
    """The filter looks while another thread adds and forgets."""
    RedactionFilter()
    stop = threading.Event()
    failures: list[BaseException] = []

    def adds() -> None:
        for i in range(15_000):
            handed_out(f"{i}-canary-{i}")
        stop.set()

    def masks() -> None:
        try:
            while not stop.is_set():
                redaction._mask("a 14999-canary-14999 b")
        except BaseException as error:  # noqa: BLE001  # to be seen by the test
            failures.append(error)

    threads = [threading.Thread(target=work) for work in (adds, masks, masks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


async def test_clients_hand_out_every_view(log: tuple[logging.Logger, io.StringIO]) -> None:
    """Warm or not, by keyword, by put, always read, from the environment: what a caller was given is masked."""
    logger, out = log
    manager = Manager({"A": "canary-value-a", "J": '{"f":"canary-value-f"}', "OLD": "canary-value-1"})
    manager.set("OLD", "canary-value-2")
    declared = SourceConfig(name="always", system="memory", freshness=Freshness(cached=False))
    default = SourceConfig(name="default", system="memory")
    always = Manager({"R": "canary-value-r"})
    async with client_with(
        {"default": (default, manager), "always": (declared, always)}, {"E": "canary-value-e"}
    ) as client:
        given = [
            await client.get("A"),
            await client.get("J", field="f"),
            await client.get("OLD", version="1"),
            await client.get("E"),
            await client.get("secret://always/R"),
        ]
    async with client_of(Manager()) as client:
        given.append(await client.put("P", "canary-value-p"))
    for secret in given:
        logger.error("here: %s", secret.reveal())
    assert out.getvalue().count(MASK) == 6
    assert "canary" not in out.getvalue()


def test_a_planted_leak_is_found() -> None:
    """A program without the filter leaks into its log; the same one with it does not."""
    script = """
import asyncio, logging, sys
from asyncsecrets import SecretsClient, get_secret
from asyncsecrets.providers.memory import MemoryProvider
logging.basicConfig(level=logging.DEBUG)
if sys.argv[1] == "masked":
    from asyncsecrets.redaction import RedactionFilter
    logging.getLogger().handlers[0].addFilter(RedactionFilter())
async def main():
    async with SecretsClient.from_provider(MemoryProvider({"NAME": "canary-planted"}), environ={}):
        key = await get_secret("NAME")
        logging.getLogger("app.child").warning("calling with %s", key)
        try:
            raise ValueError(key)
        except ValueError:
            logging.exception("failed")
asyncio.run(main())
"""
    found = {}
    for how in ("bare", "masked"):
        environ = {"PYTHONPATH": str(Path(asyncsecrets.__file__).parents[1])}
        command = [sys.executable, "-c", script, how]
        result = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        found[how] = result.stderr.count("canary-planted")
    assert found == {"bare": 2, "masked": 0}


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


def test_what_is_logged_of_any_kind_passes(log: tuple[logging.Logger, io.StringIO]) -> None:
    """Numbers, None, bytes and nested things are printed as ever."""
    logger, out = log
    handed_out(CANARY)
    kinds: list[Any] = [1, None, b"bytes", {"a": [1]}, 2.5]
    for kind in kinds:
        logger.error("%s", kind)
    assert out.getvalue().splitlines() == [f"ERROR {kind}" for kind in kinds]
