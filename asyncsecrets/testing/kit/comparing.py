"""Comparing secrets without showing them."""

from __future__ import annotations

from asyncsecrets.errors import ConfigError
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.kit.held import held

__all__ = ["assert_secret_equal"]


def assert_secret_equal(actual: Secret | Payload, expected: Secret | Payload) -> None:
    """Fail unless both are the same value, without showing either: ``assert a == b`` prints both.

    Each is a ``Secret``, text or bytes. What is compared is hidden in what pytest reports from then on. Raises
    AssertionError, and ConfigError for what is no value.
    """
    __tracebackhide__ = True
    problem = _problem(actual, expected)
    del actual, expected  # what raises from here on has them in no local variable
    if problem is not None:
        raise problem


def _problem(actual: Secret | Payload, expected: Secret | Payload) -> Exception | None:
    for one in (actual, expected):
        if not isinstance(one, Secret | str | bytes):
            return ConfigError(f"what is compared is a Secret, a text or bytes, and not {type(one).__name__}")
        _hide(one)
    if _sealed(actual).equals(expected):
        return None
    return AssertionError(f"{_label(actual)} is not the value that was expected (neither is shown)")


def _sealed(value: Secret | Payload) -> Secret:
    return value if isinstance(value, Secret) else Secret(value, name="")


def _hide(value: Secret | Payload) -> None:
    secret = _sealed(value)
    held.add(secret.reveal_bytes() if secret.is_binary else secret.reveal(), secret.name)


def _label(actual: Secret | Payload) -> str:
    return f"the secret {actual.name!r}" if isinstance(actual, Secret) else f"a value ({type(actual).__name__})"
