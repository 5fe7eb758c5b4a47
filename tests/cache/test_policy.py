"""What the policy accepts, and what failures mean."""

from __future__ import annotations

import math
from typing import Any

import pytest

from asyncsecrets import errors
from asyncsecrets.cache import CachePolicy, Verdict, boot_time, classify


@pytest.mark.parametrize(
    "settings",
    [
        {"refresh_interval": 0.0},
        {"refresh_interval": -1.0},
        {"refresh_interval": math.nan},
        {"refresh_interval": math.inf},
        {"max_stale": -0.1},
        {"max_stale": math.inf},
        {"negative_ttl": math.nan},
        {"confirm_after": -1.0},
        {"longest_wait": math.inf},
        {"concurrency": 0},
        {"max_entries": -1},
        {"max_negative": -1},
        {"backoff": (-1.0, 60.0)},
        {"backoff": (2.0, 1.0)},
        {"backoff": (0.0, 1.0)},
        {"backoff": (1.0, math.nan)},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    """When the policy is made, naming the setting."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        CachePolicy(**settings)


def test_the_defaults_are_the_documented_ones() -> None:
    """A day, a day, five seconds."""
    policy = CachePolicy()
    assert (policy.refresh_interval, policy.max_stale, policy.negative_ttl) == (86_400.0, 86_400.0, 5.0)
    assert CachePolicy(max_stale=0.0, negative_ttl=0.0, max_entries=0).max_stale == 0.0


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (errors.SecretNotFoundError("x", provider="p"), Verdict.ABSENT),
        (KeyError("k"), Verdict.ABSENT),
        (errors.AccessDeniedError("x", provider="p"), Verdict.DENIED),
        (PermissionError(13, "no"), Verdict.DENIED),
        (errors.UnavailableError("x", provider="p"), Verdict.TRANSIENT),
        (errors.RateLimitedError("x", provider="p"), Verdict.TRANSIENT),
        (ConnectionResetError(), Verdict.TRANSIENT),
        (TimeoutError(), Verdict.TRANSIENT),
        (errors.MalformedResponseError("x", provider="p"), Verdict.POISONED),
        (ValueError("odd"), Verdict.POISONED),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, Exception) else item.value,
)
def test_failures_are_told_apart_by_their_class(error: Exception, verdict: Verdict) -> None:
    """Ours and Python's own."""
    assert classify(error) is verdict


def test_the_clock_does_not_run_backwards() -> None:
    """Seconds, with a resolution that can tell two moments apart."""
    readings = [boot_time() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[-1] > 0.0
