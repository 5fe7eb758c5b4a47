"""Secret: every way out of it but reveal() shows a mask or refuses."""

from __future__ import annotations

import copy
import copyreg
import dataclasses
import inspect
import io
import json
import logging
import pickle
import pprint
import string
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import asyncsecrets
from asyncsecrets.errors import DecodeError
from asyncsecrets.secret import MASK, Secret

CANARY = "canary-7f3a-é-value"


def secret(payload: str | bytes = CANARY, **more: Any) -> Secret:
    """A secret whose value is a canary."""
    return Secret(payload, name="NAME", version="3", **more)


@dataclasses.dataclass
class Holder:
    """Somebody's dataclass."""

    key: Secret


SHOWN: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda s: format(s, ">40"),
    "f-string": lambda s: f"{s} {s!r} {s!s} {s:>40}",
    "%s": lambda s: "%s %r" % (s, s),  # noqa: UP031  # the point is the operator
    "str.format": lambda s: "{} {!r} {:x}".format(s, s, s),  # noqa: UP032
    "template": lambda s: string.Template("$s").substitute(s=s),
    "dir": dir,
    "in a list": lambda s: repr([s, {"key": s}, (s,)]),
    "pprint": pprint.pformat,
    "dataclass repr": lambda s: repr(Holder(s)),
    "json default": lambda s: json.dumps(s, default=str),
    "print": lambda s: print(s, s, file=(out := io.StringIO())) or out.getvalue(),
    "bool": bool,
    "type": type,
    "members by public name": lambda s: [
        getattr(s, n) for n in dir(s) if not n.startswith("_") and not callable(getattr(s, n))
    ],
    "object.__repr__": object.__repr__,
    "object.__getstate__": object.__getstate__,  # type: ignore[attr-defined]
    "copyreg": lambda s: copyreg._slotnames(type(s)),  # type: ignore[attr-defined]
    "__doc__": lambda s: s.__doc__,
}


@pytest.mark.parametrize("way", SHOWN)
def test_what_it_shows(way: str) -> None:
    """A mask or a name, never the value."""
    assert "canary" not in str(SHOWN[way](secret())) + repr(SHOWN[way](secret()))


REFUSED: dict[str, Callable[[Secret], object]] = {
    "vars": vars,
    "pickle": pickle.dumps,
    "pickle 0": lambda s: pickle.dumps(s, 0),
    "pickle 2": lambda s: pickle.dumps(s, 2),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy of a list": lambda s: copy.deepcopy([s]),
    "asdict": lambda s: dataclasses.asdict(Holder(s)),
    "astuple": lambda s: dataclasses.astuple(Holder(s)),
    "json": json.dumps,
    "yaml": yaml.dump,
    "hash": hash,
    "set": lambda s: {s},
    "len": len,
    "iter": iter,
    "list": list,
    "in": lambda s: "c" in s,  # type: ignore[operator]
    "index": lambda s: s[0],  # type: ignore[index]
    "bytes": bytes,
    "int": int,  # type: ignore[dict-item]
    "concatenation": lambda s: s + "",  # type: ignore[operator]
    "%d": lambda s: "%d" % s,  # noqa: UP031
    "join": lambda s: "".join(iter((s, s))),  # type: ignore[arg-type]
    "__reduce__": lambda s: s.__reduce__(),
    "__reduce_ex__": lambda s: s.__reduce_ex__(4),
    "object.__reduce__": object.__reduce__,
    "object.__reduce_ex__ 0": lambda s: object.__reduce_ex__(s, 0),
    "object.__reduce_ex__ 2": lambda s: object.__reduce_ex__(s, 2),
    "copyreg.__reduce_ex__": lambda s: copyreg._reduce_ex(s, 1),  # type: ignore[attr-defined]
    "__getstate__": lambda s: s.__getstate__(),
    "order": lambda s: s < s,  # type: ignore[operator]  # noqa: PLR0124
    "name": lambda s: setattr(s, "name", "x"),
    "source": lambda s: setattr(s, "source", "x"),
    "new attribute": lambda s: setattr(s, "extra", "x"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_it_refuses(way: str) -> None:
    """With an error that does not hold the value, in its text or what rides along."""
    with pytest.raises((TypeError, AttributeError, yaml.YAMLError)) as caught:
        REFUSED[way](secret())
    shown = traceback.TracebackException.from_exception(caught.value).format()
    assert "canary" not in "".join(shown).replace("test_what_it_refuses", "")


def test_logging_shows_the_mask() -> None:
    """As message, as argument, in an exception, and in a handler that dumps the record's dict."""
    out = io.StringIO()

    class Dumps(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            out.write(json.dumps(record.__dict__, default=repr))
            super().emit(record)

    log = logging.getLogger("canary-free")
    handler = Dumps(out)
    log.addHandler(handler)
    log.propagate = False
    s = secret()
    log.error("value %s %r", s, s, extra={"key": s, "holder": Holder(s)}, exc_info=ValueError(s))
    log.removeHandler(handler)
    assert "Secret('NAME'" in out.getvalue()
    assert MASK in out.getvalue()
    assert "canary-7f3a" not in out.getvalue()


PROVOCATIONS: dict[str, tuple[str | bytes, Callable[[Secret], object]]] = {
    "not text": (b"\xffcanary", Secret.reveal),
    "not Unicode": ("canary\ud800", Secret.reveal_bytes),
    "no JSON": ("canary{", lambda s: s.field("x")),
    "JSON, no object": ('["canary"]', lambda s: s.has_field("x")),
    "binary, no JSON": (b"\xffcanary", lambda s: s.field("x")),
    "no such field": ('{"a":"canary"}', lambda s: s.field("x")),
    "not text in it": ('{"x":["canary"]}', lambda s: s.field("x")),
    "deep": ("[" * 100_000 + '"canary"', lambda s: s.field("x")),
    "a very long number": ('{"x":' + "7" * 5000 + "}", Secret.json),
}


@pytest.mark.parametrize("way", PROVOCATIONS)
def test_errors_hold_no_value(way: str) -> None:
    """Not in their text, not in what rides along, not among the locals of our frames."""
    payload, provoke = PROVOCATIONS[way]
    with pytest.raises(DecodeError, match="NAME") as caught:
        provoke(secret(payload))
    error = caught.value
    assert error.__context__ is error.__cause__ is None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.endswith("secret.py") and "tests" not in frame.f_code.co_filename:
            assert "canary" not in repr(frame.f_locals)
            assert "7777" not in repr(frame.f_locals)
    assert "canary" not in str(error)


def test_wrong_payloads() -> None:
    """Only str and bytes; the error names the type, and its frame has forgotten the rest."""
    with pytest.raises(TypeError, match="bytearray") as caught:
        Secret(bytearray(b"canary"), name="NAME")  # type: ignore[arg-type]
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert "canary" not in repr(frames[-1].f_locals)


def test_a_failing_assertion_of_pytest_shows_no_value(tmp_path: Path) -> None:
    """With -l, long tracebacks and a junit file: == of two Secrets, and a Secret among the locals."""
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent("""
        from asyncsecrets.secret import Secret
        from types import SimpleNamespace

        def make(n):
            return Secret(bytes([99, 97, 110, 97, 114, 121, 45, 48 + n]), name="NAME")

        def test_equal():
            mine, theirs = make(1), make(2)
            holder = SimpleNamespace(key=mine)
            assert mine == theirs

        def test_list():
            assert [make(1)] == [make(2)]

        def test_in():
            assert make(1) in [make(2)]

        def test_equals():
            assert make(1).equals(make(2))
        """)
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-l",
        "--tb=long",
        "-p",
        "no:cacheprovider",
        "--junitxml=junit.xml",
        "test_it.py",
    ]
    environ = {"PYTHONPATH": str(Path(asyncsecrets.__file__).parents[1])}
    result = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "4 failed" in result.stdout
    assert "Secret('NAME')" in result.stdout
    assert "canary-" not in result.stdout + result.stderr + (tmp_path / "junit.xml").read_text()


def test_what_it_tells() -> None:
    """Name, version, creation, source and age."""
    now = [100.0]
    made = datetime(2026, 1, 2, tzinfo=UTC)
    s = Secret("canary", name="NAME", version="3", created=made, source="team", clock=lambda: now[0])
    now[0] += 7
    assert (s.name, s.version, s.created, s.source, s.age) == ("NAME", "3", made, "team", 7.0)
    now[0] -= 100
    assert s.age == 0.0
    assert repr(s) == "Secret('NAME', version='3')"
    assert repr(Secret("", name="N")) == "Secret('N')"
    assert bool(Secret("", name="N"))
    moved = s.replace(source="other")
    assert (moved.name, moved.version, moved.created, moved.source) == ("NAME", "3", made, "other")
    assert moved.reveal() == "canary"
    assert s.replace("canary-2").reveal() == "canary-2"
    assert s.replace("").reveal() == ""


def test_its_end_goes_along() -> None:
    """In UTC, with whatever is made of the secret. It is no part of what it is compared by."""
    ends = datetime(2030, 1, 2, 5, tzinfo=timezone(timedelta(hours=2)))
    s = Secret('{"a": "canary-1", "b": {"c": "canary-2"}}', name="NAME", expires=ends)
    made = [s, s.field("a"), s.nested("b"), s.field("/b/c"), s.replace("canary-3"), s.replace(source="other")]
    assert [m.expires for m in made] == [datetime(2030, 1, 2, 3, tzinfo=UTC)] * 6
    assert all(m.expires is not None and m.expires.tzinfo is UTC for m in made)
    assert Secret("canary", name="NAME").expires is None
    assert Secret("canary", name="NAME", expires=ends) == Secret("canary", name="NAME")
    assert repr(s) == "Secret('NAME')"


def test_an_end_at_the_end_of_time() -> None:
    """Where UTC has no such year, the last or the first moment that it has."""
    west, east = timezone(timedelta(hours=-5)), timezone(timedelta(hours=5))
    last = Secret("canary", name="NAME", expires=datetime(9999, 12, 31, 23, tzinfo=west)).expires
    first = Secret("canary", name="NAME", expires=datetime(1, 1, 1, tzinfo=east)).expires
    assert (last, first) == (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))


def test_an_end_without_a_zone_is_refused() -> None:
    """And no frame has the payload."""
    with pytest.raises(ValueError, match="needs a time zone") as caught:
        Secret("canary-payload", name="NAME", expires=datetime(2030, 1, 2))  # noqa: DTZ001
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "canary-payload" not in "".join(str(frame.locals) for frame in shown.stack[1:])


@given(st.one_of(st.text(), st.binary()))
def test_a_payload_comes_back_as_it_is(payload: str | bytes) -> None:
    """Text as text, bytes as bytes, each as the other where that is the same thing."""
    s = Secret(payload, name="NAME")
    if isinstance(payload, bytes):
        assert s.is_binary
        assert s.reveal_bytes() == payload
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            with pytest.raises(DecodeError):
                s.reveal()
        else:
            assert s.reveal() == text
    else:
        assert not s.is_binary
        assert s.reveal() == payload
        assert s.reveal_bytes() == payload.encode()
    assert s.equals(payload)
    assert s.equals(Secret(payload, name="OTHER"))


@given(st.text(), st.text())
def test_equality_is_of_values(one: str, other: str) -> None:
    """equals() says what == of the texts says, beyond ASCII too, and for bytes of the same."""
    assert secret(one).equals(other) == (one == other)
    assert secret(one).equals(other.encode()) == (one == other)
    assert (secret(one) == secret(other)) == (one == other)
    assert (secret(one) != secret(other)) == (one != other)


def test_equality_is_of_name_and_version_too() -> None:
    """And never with what is no Secret: that would put the value beside it into a failing assertion."""
    assert secret() == secret()
    assert secret() != Secret(CANARY, name="NAME", version="4")
    assert secret() != Secret(CANARY, name="OTHER", version="3")
    assert secret() != CANARY
    assert not secret() == CANARY  # noqa: SIM201  # __eq__ itself is meant
    assert secret("canary\ud800").equals("canary\ud800")


def test_equality_takes_constant_time() -> None:
    """It is hmac.compare_digest that compares, not ==."""
    source = inspect.getsource(Secret.equals)
    assert "compare_digest" in source


def test_fields() -> None:
    """Members by their names; ``test_members.py`` has the rest."""
    s = secret('{"a":"canary-a","":"canary-empty","n":1,"b":true,"z":null,"l":[],"o":{},"é":" x "}')
    assert s.fields() == ["a", "", "n", "b", "z", "l", "o", "é"]
    assert s.field("a").reveal() == "canary-a"
    assert s.field("").reveal() == "canary-empty"
    assert s.field("é").reveal() == " x "
    assert (s.field("a").name, s.field("a").version) == ("NAME", "3")
    assert s.has_field("n")
    assert not s.has_field("x")
    assert (s.field("n").reveal(), s.field("b").reveal()) == ("1", "true")
    for field, kind in {"z": "null", "l": "a list", "o": "an object"}.items():
        with pytest.raises(DecodeError, match=f"no text in the field '{field}', but {kind}"):
            s.field(field)
    assert secret(b'{"a":"canary-a"}').field("a").reveal() == "canary-a"
    assert secret("canary").fields() == []
    assert secret(b"\xff").fields() == []


def test_it_can_be_referred_to_weakly() -> None:
    """For those who cache by weak reference."""
    import weakref

    s = secret()
    assert weakref.ref(s)() is s
