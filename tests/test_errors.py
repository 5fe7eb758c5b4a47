"""The tree of errors: as documented, closed, copyable, and fitting where Python's own are expected."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from asyncsecrets import errors
from asyncsecrets.boundary import fresh
from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    MissingDependencyError,
    PartialRotationError,
    ProviderError,
    RateLimitedError,
    ResolveError,
    SecretNotFoundError,
    TransientError,
)

CLASSES: list[type[AsyncSecretsError]] = [
    found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, AsyncSecretsError)
]


def make(kind: type[AsyncSecretsError]) -> AsyncSecretsError:
    """One error of each class, with every attribute set to something that is not its default."""
    if kind is ResolveError:
        return ResolveError({"A": make(SecretNotFoundError), "B": make(RateLimitedError)})
    given: dict[str, Any] = {
        "provider": "memory",
        "name": "NAME",
        "outcome_unknown": True,
        "reason": "deleted",
        "retry_after": 2.5,
        "created": "NAME-2",
        "extra": "aws",
    }
    parameters = inspect.signature(kind).parameters
    error = kind("what went wrong; what to do", **{key: value for key, value in given.items() if key in parameters})
    return error.after(3) if isinstance(error, ProviderError) else error


def tree() -> dict[str, str]:
    """The docstring's drawing: class name to the name of its parent."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.search(r"(?:[├└]── )?([A-Z]\w+Error)\b", line[:60]):
            depth = match.start(1)
            if parents or match[1] == "AsyncSecretsError":
                while above and above[-1][0] >= depth:
                    above.pop()
                parents[match[1]] = above[-1][1] if above else "Exception"
                above.append((depth, match[1]))
        elif parents:
            break
    return parents


def test_the_drawing_is_the_tree() -> None:
    """Every class is in the docstring under its real parent, and nothing else is."""
    assert tree() == {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (MissingDependencyError, ImportError),
        (SecretNotFoundError, LookupError),
        (errors.InvalidNameError, ValueError),
        (AccessDeniedError, PermissionError),
    ],
)
def test_builtin_bases(kind: type[AsyncSecretsError], builtin: type[Exception]) -> None:
    """What the drawing says in brackets: they are caught where Python's own are."""
    assert issubclass(kind, builtin)
    assert f"{kind.__name__} " in (errors.__doc__ or "")
    assert re.search(rf"{kind.__name__}.*\(an? {builtin.__name__}\)", errors.__doc__ or "")
    others = {ImportError, LookupError, ValueError, PermissionError} - {builtin}
    assert not any(issubclass(kind, other) for other in others)


@pytest.mark.parametrize("kind", CLASSES)
def test_only_transient_errors_are_transient(kind: type[AsyncSecretsError]) -> None:
    """One class attribute, true below TransientError and nowhere else; no error is an OSError by accident."""
    assert kind.transient is issubclass(kind, TransientError)
    assert issubclass(kind, OSError) is (kind is AccessDeniedError)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        fresh,
        *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)),
    ],
)
def test_an_error_survives_being_copied(kind: type[AsyncSecretsError], again: Any) -> None:
    """Class, text and every attribute; notes too; and nothing of where it was raised."""
    error = make(kind)
    error.add_note("a note")
    try:
        raise error
    except AsyncSecretsError as caught:
        twin = again(caught)
    assert twin is not error
    assert type(twin) is kind
    assert str(twin) == str(error)
    assert repr(twin) == repr(error)
    assert twin.args == error.args
    if kind is not ResolveError:
        assert twin.__dict__ == error.__dict__
    else:
        assert [str(failure) for failure in twin.failures.values()] == [
            str(failure) for failure in error.failures.values()
        ]
    assert twin.__traceback__ is None
    assert twin.__context__ is None


@pytest.mark.parametrize("kind", CLASSES)
def test_attributes(kind: type[AsyncSecretsError]) -> None:
    """What the docstrings promise is there."""
    error = make(kind)
    assert isinstance(error, Exception)
    assert error.message == str(error)
    if isinstance(error, ProviderError):
        assert (error.provider, error.name, error.attempts) == ("memory", "NAME", 3)
    if isinstance(error, SecretNotFoundError):
        assert error.reason == "deleted"
    if isinstance(error, RateLimitedError):
        assert error.retry_after == 2.5
    if isinstance(error, PartialRotationError):
        assert error.created == "NAME-2"
    if isinstance(error, MissingDependencyError):
        assert error.extra == "aws"


def test_resolve_error_lists_what_failed() -> None:
    """Each name once, with the class and text of its error; grammar for one and for several."""
    one = ResolveError({"A": make(SecretNotFoundError)})
    assert str(one).startswith("1 secret could not be read:\n  A: SecretNotFoundError: ")
    assert str(make(ResolveError)).count("\n") == 2
    assert str(make(ResolveError)).startswith("2 secrets")


def test_everything_public_is_listed() -> None:
    """__all__ has every class and NotFoundReason, sorted."""
    assert errors.__all__ == sorted([*(kind.__name__ for kind in CLASSES), "NotFoundReason"])


def test_a_message_that_holds_a_name_is_whatever_the_name_is() -> None:
    """Percent signs and braces in a message are text."""
    error = ProviderError("100% of {canary!r}", provider="memory")
    assert str(error) == "100% of {canary!r}"
    assert str(AccessDeniedError("no", provider="memory")) == "no"
