"""Exit codes: every error has one, and the gravest of several wins."""

from __future__ import annotations

import inspect

import pytest

from asyncsecrets import errors
from asyncsecrets.cli.exits import Family, family_of, worst

BASES = {errors.AsyncSecretsError, errors.ProviderError, errors.ResolveError}


def every_error() -> list[type[errors.AsyncSecretsError]]:
    """The classes of the tree, without those that are only bases."""
    found = [getattr(errors, name) for name in errors.__all__]
    return [kind for kind in found if inspect.isclass(kind) and kind not in BASES and kind is not errors.ClosedError]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_family(kind: type[errors.AsyncSecretsError]) -> None:
    """A class that nobody thought of here would be reported as a bug."""
    assert family_of(kind.__new__(kind, "canary")) not in {Family.INTERNAL, Family.OK}


def test_codes_are_stable() -> None:
    """Scripts depend on these numbers."""
    codes = {family.word: family.value for family in Family}
    assert codes == {
        "ok": 0,
        "internal": 1,
        "config": 2,
        "not_found": 3,
        "denied": 4,
        "unavailable": 5,
        "conflict": 6,
        "refused": 7,
        "bad_data": 8,
        "output": 9,
    }


def test_more_specific_classes_win() -> None:
    """access_mode is a refusal although its class is a configuration error; a throttled call is unavailable."""
    assert family_of(errors.AccessModeError("x")) is Family.REFUSED
    assert family_of(errors.RateLimitedError("x", provider="memory")) is Family.UNAVAILABLE
    assert family_of(KeyError("canary")) is Family.INTERNAL


def test_a_definite_fault_outranks_one_that_may_pass() -> None:
    """Of several, the one that somebody has to mend is reported."""
    missing = errors.SecretNotFoundError("x", provider="memory")
    down = errors.UnavailableError("x", provider="memory")
    assert family_of(errors.ResolveError({"a": down, "b": missing})) is Family.NOT_FOUND
    assert family_of(errors.ResolveError({"a": down})) is Family.UNAVAILABLE
    assert worst([]) is Family.OK
    assert worst([Family.OK, Family.UNAVAILABLE, Family.CONFIG]) is Family.CONFIG
    assert {worst([family]) for family in Family} == set(Family)
