"""A value is found wherever it leaked to, in any form; and nothing that tells of it shows it."""

from __future__ import annotations

import base64
import html
import json
import logging
import urllib.parse
from types import SimpleNamespace

import httpx
import pytest
from starlette.responses import JSONResponse

from asyncsecrets import Secret, errors
from asyncsecrets.testing import LeakWatch, assert_secret_equal
from asyncsecrets.testing.kit.held import Held, held

VALUE = "canary+leak/%&\"ü' \\x"

FORMS = {
    "as it is": VALUE,
    "bytes": VALUE.encode(),
    "repr": repr(VALUE),
    "json": json.dumps({"x": VALUE}),
    "utf-8 json": json.dumps({"x": VALUE}, ensure_ascii=False),
    "percent": urllib.parse.quote(VALUE),
    "form": urllib.parse.urlencode({"x": VALUE}),
    "html": html.escape(VALUE),
    "base64": base64.b64encode(b"user:" + VALUE.encode()),
    "url-safe base64": base64.urlsafe_b64encode(VALUE.encode()).decode(),
    "wrapped base64": base64.encodebytes(b"." * 50 + VALUE.encode()),
    "in a mapping": {"a": [VALUE]},
    "in a tuple": (VALUE.encode(),),
    "httpx body": httpx.Response(200, text=f"it is {VALUE}"),
    "httpx header": httpx.Response(200, headers={"x-key": urllib.parse.quote(VALUE)}, text=""),
    "second header": httpx.Response(200, headers=[("x", "1"), ("x", base64.b64encode(VALUE.encode()).decode())]),
    "starlette": JSONResponse({"key": VALUE}),
    "any response": SimpleNamespace(headers=[(b"a", b"b")], body=VALUE.encode()),
    "exception": ValueError(f"no {VALUE}"),
    "exception's attribute": errors.UnavailableError("down", provider=VALUE),
    "group": ExceptionGroup("several", [ValueError(VALUE)]),
}


def watch():
    """One that knows the value."""
    held.add(VALUE, "LEAKED")
    return LeakWatch()


@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_found(form):
    """And its secret is named, not the value shown."""
    with pytest.raises(AssertionError, match="'LEAKED'") as caught:
        watch()(FORMS[form])
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize(
    "clean",
    [
        "canar leak", b"", {"a": 1}, httpx.Response(200, text="canary"), ValueError("canary"), Secret(VALUE, name="X"),
        {"secret": Secret(VALUE, name="X")},
    ],
)  # fmt: skip
def test_what_has_none_passes(clean):
    """A Secret shows itself to nobody."""
    watch()(clean)


def _raised(function):
    try:
        function()
    except Exception as error:  # noqa: BLE001  # whichever it is
        return error
    raise AssertionError


def _with_local():
    password = {"key": VALUE}
    raise ValueError(len(password))


def _with_cause():
    try:
        _with_local()
    except ValueError as error:
        raise RuntimeError("clean") from error


def _with_note():
    error = ValueError("clean")
    error.add_note(f"see {VALUE}")
    raise error


@pytest.mark.parametrize("function", [_with_local, _with_cause, _with_note])
def test_exceptions_are_looked_through(function):
    """With the local variables of their frames, their causes and their notes."""
    with pytest.raises(AssertionError, match="'LEAKED'"):
        watch()(_raised(function))


@pytest.mark.leaks("that is what is tested")
@pytest.mark.parametrize("propagate", [True, False])
def test_logs_are_looked_through(propagate):
    """Message, arguments, what is added, exceptions; of loggers that do not propagate as well."""
    logger = logging.getLogger("tests.leaking")
    logger.propagate = propagate
    cases = [
        lambda: logger.error("it is %s", VALUE),
        lambda: logger.error("it is", extra={"key": VALUE}),
        lambda: logger.error("it is", exc_info=_raised(_with_local)),
    ]
    if not propagate:  # where nobody but us looks at it: too few arguments
        cases.append(lambda: logger.error("%s and %s", VALUE))  # noqa: PLE1206
    logger.addHandler(null := logging.NullHandler())
    try:
        for log in cases:
            with watch().installed() as watched:
                log()
                with pytest.raises(AssertionError, match=r"'LEAKED' in a log record of tests\.leaking \(test_leaks"):
                    watched()
        with watch().installed() as watched:
            logger.error("nothing")
            watched()
    finally:
        logger.propagate = True
        logger.removeHandler(null)


def test_a_body_that_was_not_read_is_told():
    """Nobody should take it to be clean."""
    with pytest.raises(errors.ConfigError, match=r"response\.read"):
        watch()(SimpleNamespace(headers={"a": "b"}))


def test_the_failure_itself_holds_no_value():
    """Nor do the frames that are ours."""
    error = _raised(lambda: watch()("x", VALUE))
    trace, shown = error.__traceback__, ""
    while trace is not None:
        if "asyncsecrets" in trace.tb_frame.f_code.co_filename:
            shown += repr(trace.tb_frame.f_locals)
        trace = trace.tb_next
    assert "LeakWatch" in shown
    assert VALUE not in shown
    assert repr(VALUE)[1:-1] not in shown


@pytest.mark.parametrize(
    ("one", "other"), [("canary-a", "canary-b"), (b"canary-a", "canary-b"), ("canary-a", Secret("canary-b", name="B"))]
)
def test_two_values_are_compared_and_not_shown(one, other):
    """Whatever they are given as."""
    error = _raised(lambda: assert_secret_equal(one, other))
    assert isinstance(error, AssertionError)
    assert "canary" not in str(error)
    frame = error.__traceback__.tb_next.tb_next.tb_frame
    assert frame.f_code.co_name == "assert_secret_equal"
    assert "canary" not in repr(frame.f_locals)
    assert held.hidden(f"assert {one!r}") != f"assert {one!r}"
    assert_secret_equal(one, one)
    with pytest.raises(errors.ConfigError, match="not int"):
        assert_secret_equal(one, 7)
    with pytest.raises(errors.ConfigError, match="not NoneType"):
        assert_secret_equal(None, other)


def test_what_is_cut_or_wrapped_is_hidden_too():
    """pytest cuts long values, and shows them in pieces."""
    known = Held()
    assert not known
    known.add("canary-" + "0123456789abcdef" * 20, "LONG")
    known.add("canary words " * 10, "WORDS")
    known.add('{"user": "canary-user-name", "port": 5432}', "DB")
    assert known
    assert known.hidden("E  assert 'canary-0123456789abcdef...456789abcdef' == 'x'") == "E  assert ********** == 'x'"
    assert known.hidden("a\nx 'ry words canary words can\nb") == "a\n**********\nb"
    assert known.hidden("user canary-user-name at 5432") == "user ********** at 5432"
    assert known.hidden("plain 0123 words") == "plain 0123 words"
    assert known.names_in("the canary-user-name") == ["DB"]
    known.add("short", "SHORT")
    assert known.names_in("short") == []


def test_records_of_the_standard_library_are_made_as_before():
    """Once nobody watches any more; also where somebody else has changed it meanwhile."""
    before = logging.getLogRecordFactory()
    with LeakWatch().installed():
        assert logging.getLogRecordFactory() is not before
    assert logging.getLogRecordFactory() is before
    with LeakWatch().installed():
        logging.setLogRecordFactory(logging.LogRecord)
    assert logging.getLogRecordFactory() is logging.LogRecord
    logging.setLogRecordFactory(before)
