"""Absent keys: believed for a while, bounded."""

from __future__ import annotations

from asyncsecrets.cache.absent import AbsentKeys
from asyncsecrets.cache.policy import CachePolicy
from tests.cache.world import absent


def test_a_key_is_believed_absent_until_its_time_is_over() -> None:
    """Each time with an error of the caller's own."""
    keys: AbsentKeys[str] = AbsentKeys(CachePolicy(negative_ttl=5.0))
    error = absent("k")
    keys.remember("k", error, 100.0)
    first, second = keys.recall("k", lambda: 104.9), keys.recall("k", lambda: 104.9)
    assert str(first) == str(second) == str(error)
    assert first is not second is not error
    assert keys.recall("k", lambda: 105.0) is None
    assert keys.recall("other", lambda: 100.0) is None


def test_what_was_said_last_is_forgotten_last() -> None:
    """A key that is said to be absent again is as young as it can be."""
    keys: AbsentKeys[str] = AbsentKeys(CachePolicy(max_negative=2))
    for key in "abac":
        keys.remember(key, absent(key), 0.0)
    assert keys.keys() == ["a", "c"]
    assert len(keys) == 2
