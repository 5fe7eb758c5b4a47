"""The key/value stores, without a server around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets import exact
from asyncsecrets.testing.vault_server._durations import format_duration, parse_duration
from asyncsecrets.testing.vault_server._model import Refused, through_floats
from asyncsecrets.testing.vault_server.store import VersionedStore, children, merge_patch, subkeys


def test_a_version_number_never_comes_back() -> None:
    """Deleting and destroying leave the numbering alone."""
    store = VersionedStore()
    store.write("a", {"key": "canary-1"}, {}, 1.0)
    store.delete_latest("a", 2.0)
    store.destroy("a", [1])
    assert store.write("a", {"key": "canary-2"}, {"cas": 1}, 3.0).current == 2


def test_old_versions_are_pruned_on_write() -> None:
    """Ten versions are kept unless the secret or the mount says otherwise."""
    store = VersionedStore()
    for at in range(12):
        entry = store.write("a", {"n": at}, {}, float(at))
    assert (entry.oldest, sorted(entry.versions)) == (3, list(range(3, 13)))


def test_delete_version_after_lets_a_version_lapse() -> None:
    """The shorter of the mount's and the secret's limit counts, from the time of writing."""
    store = VersionedStore()
    store.settings.delete_version_after = 100
    store.write("a", {"key": "canary"}, {}, 0.0)
    store.entries["a"].settings.delete_version_after = 10
    store.write("a", {"key": "canary"}, {}, 0.0)
    first, second = store.entries["a"].versions[1], store.entries["a"].versions[2]
    assert [first.readable(50.0), second.readable(9.9), second.readable(10.0)] == [True, True, False]


@pytest.mark.parametrize("cas", [0, 1, 3, "x", 1.5, -1])
def test_a_lost_compare_and_set_changes_nothing(cas: object) -> None:
    """Only the current number, as a number or as text, is accepted."""
    store = VersionedStore()
    store.write("a", {}, {}, 0.0)
    store.write("a", {}, {"cas": "1"}, 0.0)
    with pytest.raises(Refused):
        store.write("a", {"key": "canary"}, {"cas": cas}, 0.0)
    assert store.entries["a"].current == 2


def test_merge_patch_removes_merges_and_replaces() -> None:
    """Null removes, objects merge, everything else replaces."""
    target = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]}
    assert merge_patch(target, {"a": None, "b": {"c": 3}, "e": "x"}) == {"b": {"c": 3, "d": 2}, "e": "x"}


def test_subkeys_hold_no_value() -> None:
    """Only the shape is told, as deep as asked."""
    data = {"a": {"b": {"c": "canary"}}, "l": ["canary"], "e": {}}
    assert subkeys(data, 0) == {"a": {"b": {"c": None}}, "l": None, "e": None}
    assert subkeys(data, 2) == {"a": {"b": None}, "l": None, "e": None}


@given(st.sets(st.text("ab/", min_size=1, max_size=6).map(lambda path: path.strip("/")).filter(bool)))
def test_walking_the_folders_finds_every_path(paths: set[str]) -> None:
    """Listing folder by folder reaches every stored path, and nothing else."""
    stored = {"/".join(filter(None, path.split("/"))): {} for path in paths}

    def walk(folder: str) -> set[str]:
        found = set()
        for name in children(stored, folder):
            found |= walk(folder + name) if name.endswith("/") else {folder + name}
        return found

    assert walk("") == set(stored)


@given(st.integers(min_value=0, max_value=10**9))
def test_durations_survive_a_round_trip(seconds: int) -> None:
    """What is rendered can be parsed again."""
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "1h-2m", "1h 2m", "0x10", "\u0661h", None, True, []])
def test_what_is_no_duration_is_refused(text: object) -> None:
    """Only digits with Go's units are a duration."""
    with pytest.raises(ValueError):
        parse_duration(text)


def test_numbers_pass_through_floats() -> None:
    """As on the real server, a large integer comes back with other digits."""
    written = '{"n":[12345678901234567890,-0,-0.0],"f":[1.50,1e5,1e22,1e-05,1.5e-07],"i":2.0,"b":true}'
    assert exact.written(through_floats(exact.read(written))) == (
        '{"b":true,"f":[1.5,100000,1e+22,0.00001,1.5e-7],"i":2,"n":[12345678901234567000,-0,-0]}'
    )
