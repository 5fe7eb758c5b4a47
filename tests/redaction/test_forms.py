"""Every form of a value in every place of a record, through every formatter: none is left. ``-s`` shows the table."""

from __future__ import annotations

import base64
import collections
import contextlib
import dataclasses
import html
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, urlencode

import pytest
import structlog
import yarl
from loguru import logger as loguru
from uvicorn.logging import AccessFormatter, DefaultFormatter

from asyncsecrets.redaction import RedactionFilter, handed_out
from asyncsecrets.secret import MASK

VALUE = 'canary/ab+cd=ef~gh&ij "quo\'ted" \\ é\n<x> canary-end 😀'
PLAIN = "canary-token-0123456789"


def _lower(text: str) -> str:
    return re.sub("%..", lambda escape: escape[0].lower(), text)


def _query(value: str) -> str:
    return yarl.URL("https://h/p").with_query({"k": value}).raw_query_string[2:]


def _userinfo(value: str) -> str:
    return yarl.URL.build(scheme="https", user="u", password=value, host="h").raw_password or ""


def _base64(before: str, *, safe: bool = False) -> Callable[[str], str]:
    """The value after ``before``, so that it begins in one of the three phases."""
    encode = base64.urlsafe_b64encode if safe else base64.b64encode
    return lambda value: encode((before + value).encode()).decode()


def _in_lines(before: str = "", ends: str = "\n", width: int = 76, *, safe: bool = False) -> Callable[[str], str]:
    """Base64 in lines, of text in which the value begins after ``before`` and more than a line follows."""
    encode = _base64("", safe=safe)
    return lambda value: ends.join(re.findall(f".{{1,{width}}}", encode(before + value + ", and so on" * 12))) + ends


def _by_number(written: str) -> Callable[[str], str]:
    """All but letters and digits of ASCII as numbers of characters."""
    return lambda value: re.sub("[^A-Za-z0-9]", lambda one: written.format(ord(one[0])), value)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "stripped": lambda value: value.strip(),
    "quote()": quote,
    "quote, nothing safe": lambda value: quote(value, safe=""),
    "quote, much safe": lambda value: quote(value, safe="/:?#[]@!$&'()*+,;=~"),
    "quote_plus": quote_plus,
    "urlencode": lambda value: urlencode({"k": value}),
    "lower-case percent": lambda value: _lower(quote(value, safe="")),
    "quoted twice": lambda value: quote(quote(value, safe=""), safe=""),
    "yarl query": _query,
    "yarl userinfo": _userinfo,
    "yarl path": lambda value: yarl.URL.build(scheme="https", host="h", path=f"/p/{value}").raw_path,
    "yarl fragment": lambda value: yarl.URL("https://h/").with_fragment(value).raw_fragment,
    "JSON": json.dumps,
    "JSON, not ASCII": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"k": value})),
    "JSON in JSON in JSON": lambda value: json.dumps(json.dumps(json.dumps([value], ensure_ascii=False))),
    "escaped slashes": lambda value: json.dumps(value).replace("/", "\\/"),
    "repr": repr,
    "repr of repr": lambda value: repr(repr(value)),
    "repr of bytes": lambda value: repr(value.encode()),
    "ascii()": ascii,
    "HTML": html.escape,
    "HTML twice": lambda value: html.escape(html.escape(value)),
    "HTML, ASCII": lambda value: html.escape(value).encode("ascii", "xmlcharrefreplace").decode(),
    "XML, numbers": lambda value: value.encode("ascii", "xmlcharrefreplace").decode(),
    "HTML, numbers": _by_number("&#{};"),
    "HTML, padded numbers": _by_number("&#{:05};"),
    "HTML, hexadecimal": _by_number("&#x{:x};"),
    "HTML, HEXADECIMAL": _by_number("&#X{:06X};"),
    "HTML, all by number": lambda value: "".join(f"&#{ord(one)};" for one in value),
    "HTML, numbers, in HTML": lambda value: html.escape(_by_number("&#{};")(value)),
    "HTML, numbers, in JSON": lambda value: json.dumps(_by_number("&#x{:x};")(value)).replace("&", "\\u0026"),
    "HTML, numbers, quoted": lambda value: quote(_by_number("&#{};")(value), safe=""),
    "JSON in HTML, numbers": lambda value: _by_number("&#{};")(json.dumps(value)),
    "JSON, quoted": lambda value: quote(json.dumps(value)),
    "base64, phase 0": _base64(""),
    "base64, phase 1": _base64("a"),
    "base64, phase 2": _base64("user:"),
    "base64, URL-safe": _base64("", safe=True),
    "base64, URL-safe, phase 1": _base64("u:bc", safe=True),
    "base64, quoted": lambda value: quote(_base64("a:")(value), safe=""),
    "base64 of JSON": lambda value: _base64("")(json.dumps({"k": value})),
    "base64 of JSON, phase 1": lambda value: _base64(" ")(json.dumps({"k": value})),
    "base64 of JSON, phase 2": lambda value: _base64("  ")(json.dumps({"k": value})),
    "base64 of JSON, not ASCII": lambda value: _base64("")(json.dumps([1, value], ensure_ascii=False)),
    "base64 of JSON, URL-safe": lambda value: _base64("", safe=True)(json.dumps({"k": value})),
    "base64 of JSON, in lines": lambda value: _in_lines("x" * 45)(json.dumps({"k": value})),
    "base64 of JSON, in JSON": lambda value: json.dumps(_in_lines("x" * 45)(json.dumps({"k": value}))),
    "base64, encodebytes": lambda value: base64.encodebytes((value * 3).encode()).decode(),
    "base64 in lines": _in_lines(),
    "base64 in lines, across a break": _in_lines("x" * 50),
    "base64 in lines, across a break, phase 1": _in_lines("x" * 52),
    "base64 in lines, on a later line": _in_lines("x" * 200),
    "base64 in lines, short ones": _in_lines("x" * 45, width=64),
    "base64 in lines, CRLF": _in_lines("x" * 50, "\r\n"),
    "base64 in lines, indented": _in_lines("x" * 50, "\n    "),
    "base64 in lines, URL-safe": _in_lines("x" * 51, safe=True),
    "base64 in lines, JSON": lambda value: json.dumps(_in_lines("x" * 50, "\r\n")(value)),
    "base64 in lines, JSON in JSON": lambda value: json.dumps(json.dumps({"k": _in_lines("x" * 50)(value)})),
    "base64 in lines, repr of bytes": lambda value: repr(_in_lines("x" * 51)(value).encode()),
    "base64 in lines, quoted": lambda value: quote(_in_lines("x" * 50, "\r\n")(value), safe=""),
    "base64 in lines, quoted twice": lambda value: quote(quote(_in_lines("x" * 50)(value), safe=""), safe=""),
    "base64, not padded": lambda value: _base64("x")(value).rstrip("="),
}


class Point(NamedTuple):
    """A named tuple."""

    name: str
    at: int


@dataclasses.dataclass(frozen=True)
class Settings:
    """A dataclass that does not show its password."""

    host: str
    password: str = dataclasses.field(repr=False)


class Shows:
    """An object whose str shows a value."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return f"it is {self.text}"


def _cause(text: str) -> Exception:
    error = RuntimeError("outer")
    error.__cause__ = _raised(ValueError(text))[1]
    return error


def _noted(text: str) -> Exception:
    error = ValueError("noted")
    error.add_note(text)
    return error


PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "message": lambda text: {"msg": text.replace("%", "%%") + " %d", "args": (1,)},
    "message without arguments": lambda text: {"msg": text},
    "argument": lambda text: {"args": (text,)},
    "mapping": lambda text: {"msg": "%(x)s", "args": {"x": text}},
    "list": lambda text: {"args": ([1, [text]],)},
    "set": lambda text: {"args": ({text},)},
    "tuple in dict": lambda text: {"args": ([{"k": (text, 1)}],)},
    "key": lambda text: {"args": ([{text: 1}],)},
    "named tuple": lambda text: {"args": (Point(text, 1),)},
    "dataclass": lambda text: {"args": (Settings("h", text),), "key": Settings("h", text)},
    "deque": lambda text: {"args": (collections.deque([text]),)},
    "object": lambda text: {"args": (Shows(text),)},
    "bytes": lambda text: {"args": (text.encode(),)},
    "bytearray": lambda text: {"args": (bytearray(text.encode()),)},
    "exception as argument": lambda text: {"args": (ValueError("a", text),)},
    "exception": lambda text: {"exc_info": _raised(ValueError(text))},
    "OSError": lambda text: {"exc_info": _raised(OSError(2, "no such", text))},
    "KeyError": lambda text: {"exc_info": _raised(KeyError(text))},
    "cause": lambda text: {"exc_info": _raised(_cause(text))},
    "group": lambda text: {"exc_info": _raised(ExceptionGroup("several", [ValueError(text)]))},
    "note": lambda text: {"exc_info": _raised(_noted(text))},
    "exc_text": lambda text: {"exc_text": f"Traceback: {text}"},
    "stack_info": lambda text: {"stack_info": f"Stack: {text}"},
    "extra": lambda text: {"key": text},
    "nested extra": lambda text: {"key": {"a": [{"b": text}]}},
    "object as extra": lambda text: {"key": Shows(text)},
    "logger": lambda text: {"name": f"app.{text}"},
    "thread": lambda text: {"threadName": text},
    "process": lambda text: {"processName": text},
    "task": lambda text: {"taskName": text},
    "event dict": lambda text: {"msg": {"event": "login", "user_id": 7, "token": text}},
}


def _raised(error: Exception) -> Any:
    try:
        raise error  # noqa: TRY301  # for its traceback
    except Exception as raised:  # noqa: BLE001  # whatever was given
        return type(raised), raised, raised.__traceback__


class JSONFormatter(logging.Formatter):
    """What such formatters do: the record's dict, dataclasses as dicts, the rest as text."""

    def format(self, record: logging.LogRecord) -> str:
        document = {**record.__dict__, "message": record.getMessage()}
        if record.exc_info:
            document["exc_info"] = self.formatException(record.exc_info)
        return json.dumps(document, default=self.default, skipkeys=True)

    @staticmethod
    def default(value: Any) -> Any:
        return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else f"{value} {value!r}"


def _structlog(exceptions: Any) -> logging.Formatter:
    stdlib = structlog.stdlib.ProcessorFormatter
    return stdlib(
        processors=[stdlib.remove_processors_meta, exceptions, structlog.processors.JSONRenderer(default=repr)],
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), structlog.stdlib.PositionalArgumentsFormatter()],
    )


FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "logging": lambda: logging.Formatter(
        "%(message)s %(key)s %(name)s %(threadName)s %(processName)s %(taskName)s", defaults={"key": "", "taskName": ""}
    ),
    "uvicorn": lambda: DefaultFormatter("%(levelprefix)s %(message)s", use_colors=True),
    "JSON": JSONFormatter,
    "structlog": lambda: _structlog(structlog.processors.format_exc_info),
    "structlog with locals": lambda: _structlog(structlog.processors.dict_tracebacks),
}


class Intercepts(logging.Handler):
    """Hands records on to loguru, as its documentation shows."""

    def emit(self, record: logging.LogRecord) -> None:
        loguru.opt(exception=record.exc_info).log(record.levelname, "{}", record.getMessage())


@contextlib.contextmanager
def _printer(formatter: str) -> Iterator[Callable[[logging.LogRecord], str]]:
    """What prints a record and returns what was printed. It is made once: loguru takes its time for a sink."""
    out = io.StringIO()
    if formatter == "loguru":
        loguru.add(out, format="{message}\n{exception}", diagnose=True, backtrace=True, catch=False)
        handler: logging.Handler = Intercepts()
    else:
        handler = logging.StreamHandler(out)
        handler.setFormatter(FORMATTERS[formatter]())
    handler.addFilter(RedactionFilter())

    def printed(record: logging.LogRecord) -> str:
        out.seek(0)
        out.truncate()
        handler.handle(record)
        return out.getvalue()

    try:
        yield printed
    finally:
        loguru.remove()


@pytest.fixture(autouse=True)
def _no_other_sinks() -> None:
    loguru.remove()


def _record(place: str, text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": "a %s b", "levelname": "ERROR", "levelno": 40, **PLACES[place](text)})


# What base64 makes of the word that is in every value, in three phases: the characters that depend on nothing else.
BASE64 = [
    base64.b64encode(b"x" * phase + b"canary").decode()[-(-8 * phase // 6) : 8 * (phase + 6) // 6] for phase in range(3)
]


def _leaks(printed: str, written: str) -> bool:
    in_one_line = re.sub(r"\s|\\+[nr]|%(25)*0[aAdD]", "", printed)
    return written in printed or "canary" in html.unescape(printed) or any(sign in in_one_line for sign in BASE64)


VALUES = {"special": VALUE, "plain": PLAIN, "blanks": f"\n {PLAIN}\t "}
NOT_PRINTED = {
    "exc_text",
    "stack_info",
    "extra",
    "nested extra",
    "object as extra",
    "logger",
    "thread",
    "process",
    "task",
}
COMBINATIONS = [*((name, "special") for name in (*FORMATTERS, "loguru")), ("JSON", "plain"), ("logging", "blanks")]


@pytest.mark.parametrize(("formatter", "kind"), COMBINATIONS)
def test_no_form_is_left_in_any_place(formatter: str, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The record is printed once, with a mask where the value was, and nothing of it is left."""
    value = VALUES[kind]
    RedactionFilter()
    handed_out(value)
    leaks, lost = [], []
    hidden = {"dataclass"} | (NOT_PRINTED if formatter not in {"JSON", "logging"} else set())
    with _printer(formatter) as print_of:
        for (form, write), place in product(FORMS.items(), PLACES):
            written = write(value)
            printed = print_of(_record(place, f"x {written} y"))
            if _leaks(printed, written):
                leaks.append((form, place))
            if not printed or (place not in hidden and MASK not in printed):
                lost.append((form, place))
    assert (leaks, lost) == ([], [])
    assert "Error" not in capfd.readouterr().err
    print(f"{formatter}: {len(FORMS)} forms x {len(PLACES)} places, 0 leaks")


def test_the_forms_and_places_would_leak() -> None:
    """Unmasked, each of them shows the value: the tests above can fail."""
    for form, write in FORMS.items():
        assert _leaks(write(PLAIN), "-"), form
    for place in set(PLACES) - {"dataclass"}:
        record = _record(place, f"x {PLAIN} y")
        assert PLAIN in JSONFormatter().format(record), place


def test_uvicorn_has_its_five_arguments() -> None:
    """The access log prints address, masked path and status."""
    RedactionFilter()
    handed_out(PLAIN)
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactionFilter())
    handler.setFormatter(AccessFormatter('%(client_addr)s "%(request_line)s" %(status_code)s', use_colors=False))
    arguments = ("127.0.0.1:5", "GET", f"/cb?token={PLAIN}", "1.1", 200)
    handler.handle(logging.makeLogRecord({"msg": '%s - "%s %s HTTP/%s" %d', "args": arguments}))
    assert out.getvalue() == f'127.0.0.1:5 "GET /cb?token={MASK} HTTP/1.1" 200 OK\n'
