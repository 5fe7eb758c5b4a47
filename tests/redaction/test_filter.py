"""The net below everything: values handed out are masked in logs, and records keep their shape."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import asyncsecrets
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.redaction import RedactionFilter, handed_out, mask
from asyncsecrets.redaction.grams import Grams
from asyncsecrets.redaction.known import known
from asyncsecrets.secret import MASK
from tests.client.support import Manager, client_of, client_with

CANARY = 'canary "quoted" \\ é\n/second=line&'


class Shows:
    """An object whose str or repr shows a value."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return f"it is {self.text}"


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


def test_what_cannot_be_masked_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should masking itself fail, nothing that may hold a value is left: not in extras, not in names."""

    def fails(record: logging.LogRecord) -> None:
        raise RuntimeError

    RedactionFilter()
    handed_out(CANARY)
    monkeypatch.setattr("asyncsecrets.redaction.records._mask_message", fails)
    monkeypatch.setattr("asyncsecrets.redaction.records._mask_names", fails)
    shown = {"msg": CANARY, "name": CANARY, "threadName": CANARY, "key": CANARY, "exc_text": CANARY}
    record = logging.makeLogRecord(shown)
    assert RedactionFilter().filter(record)
    assert [record.__dict__[name] for name in shown] == [MASK] * len(shown)


def test_overlapping_values_are_masked_as_one() -> None:
    """Of two values that share a piece of the text, no piece is left."""
    RedactionFilter()
    handed_out("canary-first-second")
    handed_out("second-canary-third")
    assert mask("x canary-first-second-canary-third y") == f"x {MASK} y"


def test_short_values_are_not_masked_and_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer than six characters would garble the log; more than the limit would fill memory."""
    monkeypatch.setattr("asyncsecrets.redaction.known._LIMIT", 100)
    RedactionFilter()
    handed_out("short")
    for i in range(1000):
        handed_out(f"canary-{i:04}-é\n")
        handed_out(f"{i:04}-canary")
    assert len(known) == 100
    assert sum(len(grams._owners) for grams in known._grams) <= 100 * 4 * 8
    assert mask("short canary-0000-é\n") == "short canary-0000-é\n"
    assert mask("canary-0999-é\n 0999-canary") == f"{MASK} {MASK}"


def test_a_form_that_is_another_ones_value_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """When an old value leaves, what it shares with one that stays, stays."""
    monkeypatch.setattr("asyncsecrets.redaction.known._LIMIT", 2)
    RedactionFilter()
    for value in ('canary"x', 'canary\\"x', "canary-third"):
        handed_out(value)
    assert mask('canary\\"x') == MASK


def test_nothing_is_remembered_while_nobody_masks() -> None:
    """Without a filter, values are not kept."""
    handed_out(CANARY)
    assert not len(known)


def test_no_value_is_looked_for_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is looked through once, not once for each value: none of them is tried before its gram is found."""
    RedactionFilter()
    for i in range(2_000):
        handed_out(f"canary-{i}-{'x' * 30}")
    tried: list[int] = []
    monkeypatch.setattr(Grams, "_at", lambda grams, gram, text: tried.append(gram) or ())
    RedactionFilter().filter(
        logging.makeLogRecord({"msg": f"request %s took %d ms {'y' * 200}", "args": ("GET /", 12)})
    )
    assert tried == []
    mask("canary-1234-" + "x" * 30)
    assert tried


@pytest.mark.parametrize("others", [0, 1])
def test_what_begins_in_one_of_many_members_and_ends_in_another(others: int) -> None:
    """It is in the message only, wherever among them; also where one of them is masked by itself."""
    members = {f"key{i}": f"value {i} lorem" for i in range(5_000)} | {"other": "canary-other"}
    for first in (0, 511, 4_000):
        known.clear()
        RedactionFilter()
        joint = f"'key{first}': 'value {first} lorem', 'key{first + 1}'"
        for value in (joint, "canary-other")[: 1 + others]:
            handed_out(value)
        for message, arguments in (("a %s", (members,)), ("a %s %d", (members, 1)), ("a %s", ({"rows": [members]},))):
            record = logging.LogRecord("app", 20, "", 1, message, arguments, None)
            RedactionFilter().filter(record)
            assert joint not in record.getMessage()
            assert MASK in record.getMessage()


def test_one_of_many_members_is_printed_by_its_name() -> None:
    """A large mapping stays one for a message that names its members."""
    RedactionFilter()
    handed_out(CANARY)
    members = {f"key{i}": f"value {i} lorem" for i in range(5_000)}
    for there in ({}, {"key7": CANARY}):
        record = logging.LogRecord("app", 20, "", 1, "a %(key7)s %(key8)s", (members | there,), None)
        RedactionFilter().filter(record)
        assert record.getMessage() == f"a {MASK if there else 'value 7 lorem'} value 8 lorem"


def test_threads_may_log_while_values_are_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter looks while another thread adds and forgets."""
    monkeypatch.setattr("asyncsecrets.redaction.known._LIMIT", 500)
    RedactionFilter()
    stop = threading.Event()
    failures: list[BaseException] = []

    def adds() -> None:
        for i in range(1_000):
            handed_out(f"{i}-canary-{i}")
        stop.set()

    def masks() -> None:
        try:
            while not stop.is_set():
                mask("a 999-canary-999 b")
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


def test_what_is_logged_of_any_kind_passes(log: tuple[logging.Logger, io.StringIO]) -> None:
    """Numbers, None, bytes and nested things are printed as ever."""
    logger, out = log
    handed_out(CANARY)
    kinds: list[Any] = [1, None, b"bytes", {"a": [1]}, 2.5]
    for kind in kinds:
        logger.error("%s", kind)
    assert out.getvalue().splitlines() == [f"ERROR {kind}" for kind in kinds]
