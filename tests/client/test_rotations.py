"""What counts as a rotation, and how those are told that were seen together."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from asyncsecrets.client.places import Name, Place
from asyncsecrets.client.rotations import Rotations, is_other, label
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import Manager, client_of, in_virtual_time, settled
from tests.operators import listening

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 29, 13, tzinfo=UTC)


def secret(value: str, version: str | None, created: datetime | None = None, source: str = "vault") -> Secret:
    return Secret(value, name="NAME", version=version, created=created, source=source)


@pytest.mark.parametrize(
    ("value", "previous", "other"),
    [
        (secret("canary-1", "2"), secret("canary-1", "1"), True),  # whoever follows versions notices
        (secret("canary-2", "2", NOON), secret("canary-1", "1", NOON), True),
        (secret("canary-1", "1", NOON), secret("canary-1", "1", NOON), False),
        (secret("canary-2", "1", NOON), secret("canary-1", "1", NOON), False),  # one version has one value
        (secret("canary-2", "1", LATER), secret("canary-1", "1", NOON), True),  # made anew
        (secret("canary-1", "1", LATER), secret("canary-1", "1", NOON), False),
        (secret("canary-2", None, NOON), secret("canary-1", None, NOON), True),
        (secret("canary-1", None), secret("canary-1", None), False),
        (secret("canary-2", None), secret("canary-1", None), True),
    ],
)
def test_what_a_reader_would_notice(value: Secret, previous: Secret, other: bool) -> None:
    assert is_other(value, previous) is other


def test_what_was_told_is_not_told_again() -> None:
    """Of each kind the first three and the number of all; five seconds later only what is new."""

    async def main(clock: VirtualClock) -> None:
        rotations = Rotations("source 'x'")
        with listening() as log:
            for i in range(100):
                rotations.stored(f"K{i}", secret("canary-2", "2"), secret("canary-1", "1"))
                rotations.gone(f"G{i}", "deleted")
            assert max(len(rotations._rotated), len(rotations._gone)) == 3  # the others' names are not kept
            await asyncio.sleep(0)
            step = "(version 1 -> 2)"
            rest = "Readers get that error; if that is a mistake, restore it at the manager"
            assert log.take() == [
                (
                    "INFO",
                    f"source 'x': 100 secrets were rotated: K0 {step}, K1 {step}, K2 {step} and 97 more",
                ),
                (
                    "WARNING",
                    f"source 'x': 100 secrets are gone: G0 (deleted), G1 (deleted), G2 (deleted) and 97 more. {rest}",
                ),
            ]
            rotations.stored("NEW", secret("canary-2", "2"), secret("canary-1", "1"))
            rotations.gone("OLD", "deleted")
            await asyncio.sleep(4.9)
            assert log.take() == []
            await asyncio.sleep(0.2)
            assert log.take() == [
                ("INFO", f"source 'x': a secret was rotated: NEW {step}"),
                ("WARNING", f"source 'x': a secret is gone: OLD (deleted). {rest}"),
            ]

    in_virtual_time(main)


@pytest.mark.parametrize(
    ("value", "previous", "step"),
    [
        (secret("canary-2", "2"), secret("canary-1", None), "version - -> 2"),
        (secret("canary-2", None), secret("canary-1", "1"), "version 1 -> -"),
        (secret("canary-2", "1", LATER), secret("canary-1", "1", NOON), "version 1, made anew"),
        (secret("canary-2", None), secret("canary-1", None), "another value"),
        (
            secret("canary-2", None, source="environment"),
            secret("canary-1", "7"),
            "version 7 at vault -> what environment has",
        ),
        (
            secret("canary-2", "7", source="vault"),
            secret("canary-1", None, source="environment"),
            "version - at environment -> what vault has",
        ),
    ],
)
def test_from_where_to_where(value: Secret, previous: Secret, step: str) -> None:
    rotations = Rotations("source 'x'")
    with listening() as log:  # without a loop at once
        rotations.stored("NAME", value, previous)
        with rotations.own():
            rotations.stored("NAME", value, previous)
        rotations.stored("NAME", value, previous)
        assert log.take() == [("INFO", f"source 'x': a secret was rotated: NAME ({step})")] * 2


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("NAME", "NAME"),
        (("NAME", "3"), "NAME, version 3"),
        (Place("ALL", "a"), "a"),
        (Place("ALL", "a", "b"), "a, field b"),
        (Place("ALL", None, "/b/c"), "ALL, field /b/c"),
        (Place(("ALL", "3"), None, "b\n"), "ALL, version 3, field b\\n"),
    ],
)
def test_what_a_name_is_called(name: Name, called: str) -> None:
    assert label(name) == called


async def test_what_was_seen_last_is_told_when_the_client_is_closed() -> None:
    """Though it is less than five seconds after the line before."""
    manager = Manager({"A": "canary-1", "B": "canary-1"})
    with listening() as log:
        async with client_of(manager) as client:
            for name in ("A", "B"):
                await client.get(name)
                manager.set(name, "canary-2")
                await client.refresh(name)
                await settled()
            assert len(log.take("asyncsecrets.rotation")) == 1
        ((level, text),) = log.take("asyncsecrets.rotation")
        assert (level, text.endswith(": a secret was rotated: B (version 1 -> 2)")) == ("INFO", True)
