"""What operators hear of a source, line by line, and what its client says of itself at the same moments."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.client.status import Health, SourceStatus
from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    ConflictError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import (
    ONCE,
    Failure,
    Manager,
    client_of,
    denied,
    down,
    in_virtual_time,
    settled,
    value,
    watched_client,
)
from tests.operators import Log, listening

INTERVAL, STALE = 600.0, 3_000.0
NAMES = [f"K{i}" for i in range(20)]
HEAD = "source 'default' (memory)"
WELL = Health("fresh", (), (), ())


class Partly(Manager):
    """A manager that fails for the names in ``of`` only, if there are any."""

    of: tuple[str, ...] = ()

    async def _before(self, operation: str, name: str) -> None:
        if not self.of or name in self.of:
            await super()._before(operation, name)


def refused(name: str) -> ProviderError:
    return AuthenticationError("memory: the token is not valid any more; give another", provider="memory", name=name)


def nonsense(name: str) -> ProviderError:
    return MalformedResponseError(f"memory: what {name!r} holds makes no sense", provider="memory", name=name)


def status_of(client: SecretsClient) -> SourceStatus:
    (status,) = [status for status in client.status() if status.name == "default"]
    return status


async def fails(client: SecretsClient, name: str) -> None:
    with pytest.raises(AsyncSecretsError):
        await client.get(name)
    await settled()


def played(story: Callable[[SecretsClient, Partly, Log], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Play ``story`` in virtual time, with twenty secrets and their only reader."""
    given = {"refresh_interval": INTERVAL, "max_stale": STALE, "retry": ONCE} | options

    async def main(clock: VirtualClock) -> None:
        manager = Partly(dict.fromkeys(NAMES, "canary-1"))
        with listening() as log:
            async with watched_client(clock, manager, **given) as client:
                await story(client, manager, log)

    in_virtual_time(main)


def test_the_log_alone_tells_the_story_of_an_outage() -> None:
    """Rotation, outage, reminders, end of life, recovery; at each moment health() and status() say the same."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        assert (client.health(), status_of(client).state) == (WELL, "unknown")
        await client.get_many(NAMES)
        await asyncio.sleep(2 * INTERVAL)
        assert (log.take(), client.health(), status_of(client).state) == ([], WELL, "fresh")  # quiet in normal times

        manager.set("K1", "canary-2")
        await asyncio.sleep(INTERVAL)
        assert log.take() == [("INFO", f"{HEAD}: a secret was rotated: K1 (version 1 -> 2)")]

        manager.failure = down
        await asyncio.sleep(INTERVAL)
        first, *reminders = log.take()
        assert first == (
            "WARNING",
            (
                f"{HEAD} is stale: UnavailableError: memory: cannot be reached for 'K19'; is it running? Since "
                "2027-01-15 08:35:02Z, 20 of 20 values not renewed (K0, K1, K2 and 17 more), served until "
                "2027-01-15 09:25:02Z at least (in 50 min). It is asked again by itself; see that it runs, answers in "
                "time and can be reached from here"
            ),
        )
        assert [level for level, _ in reminders] == ["WARNING"] * 2  # after 1 and 3 minutes
        assert all(text.startswith(f"{HEAD} is still stale: UnavailableError: ") for _, text in reminders)
        assert " Since 2027-01-15 08:35:02Z (3 min " in reminders[-1][1]
        assert (client.health().state, client.health().stale) == ("degraded", tuple(NAMES))
        status = status_of(client)
        assert (status.state, status.last_error) == ("degraded", "UnavailableError")
        assert (status.last_error_message or "").startswith("memory: cannot be reached for 'K")
        assert _about(status.failing_since, datetime(2027, 1, 15, 8, 35, 2, tzinfo=UTC))
        assert _about(status.values_end, datetime(2027, 1, 15, 9, 25, 2, tzinfo=UTC))
        assert [row.ends for row in status.secrets] == [pytest.approx(STALE - 298, abs=2)] * 20

        await asyncio.sleep(STALE)
        *reminders, last = log.take()
        assert [level for level, _ in reminders] == ["WARNING"] * 3  # after 7, 15 and 31
        level, text = last
        assert level == "ERROR"
        assert text.startswith(f"{HEAD} cannot serve 20 secrets (K0, K1, K2 and 17 more): UnavailableError: memory: ")
        assert text.endswith(
            ". It is asked again at the next read; see that it runs, answers in time and can be reached from here"
        )
        assert client.health() == Health("down", (), tuple(NAMES), ("default",))
        assert status_of(client).missing == tuple(NAMES)

        manager.failure = None
        assert value(await client.get("K7")) == "canary-1"
        await settled()
        ((level, text),) = log.take()
        assert level == "INFO"
        assert text.startswith(f"{HEAD} is well again after 54 min 57 s, since 2027-01-15 08:35:02Z")
        assert text.endswith("its last error was UnavailableError. What had ended is fetched when it is asked for")
        assert client.health() == WELL
        status = status_of(client)
        assert (status.last_error, status.last_error_message, status.failing_since, status.values_end) == (None,) * 4

    played(story)


def _about(moment: datetime | None, expected: datetime) -> bool:
    return moment is not None and abs(moment - expected) < timedelta(seconds=2)


def test_an_outage_that_ends_in_time_is_two_lines() -> None:
    """However many names there are, and however many renewals of them fail."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get_many(NAMES)
        manager.failure = down
        await asyncio.sleep(INTERVAL / 2 + 30)
        manager.failure = None
        await asyncio.sleep(120)
        (began, ended) = log.take()
        assert (began[0], ended[0]) == ("WARNING", "INFO")
        assert "What had ended" not in ended[1]  # nothing had
        assert client.health() == WELL

    played(story)


@pytest.mark.parametrize(("failure", "remedy"), [(denied, "allow it"), (refused, "credentials that are valid")])
def test_a_refusal_that_lasts_is_an_error_while_everything_is_served(failure: Failure, remedy: str) -> None:
    """WARNING when it is met, ERROR when the manager was asked anew and refused again, and at each reminder."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        manager.failure = failure
        await asyncio.sleep(INTERVAL)
        lines = log.take()
        assert [level for level, _ in lines] == ["WARNING", "ERROR", "ERROR", "ERROR"]
        assert all(remedy in text for _, text in lines)
        assert client.health().state == "degraded"
        manager.failure = None
        await asyncio.sleep(61)
        assert (log.levels(), client.health()) == (["INFO"], WELL)

    played(story)


def test_another_fault_in_the_same_trouble_is_told() -> None:
    """A server that is down, and comes back without knowing us: that is another matter for whoever is on call."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        manager.failure = down
        await asyncio.sleep(INTERVAL / 2 + 20)
        assert log.levels() == ["WARNING"]
        manager.failure = refused
        await asyncio.sleep(20)
        ((level, text),) = log.take()
        assert level == "WARNING"
        assert "is still stale: AuthenticationError: memory: the token is not valid any more; give another." in text
        assert ". Since 2027-01-15 08:05:02Z (2" in text  # it is one trouble
        await asyncio.sleep(40)
        assert log.levels() == ["ERROR"]

    played(story)


def test_a_source_that_comes_and_goes_is_told_three_times_a_minute() -> None:
    """And the next line says how often."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        for _ in range(20):
            manager.failure = down
            await fails(client, "K1")
            manager.failure = None
            await client.refresh("K0")
            await asyncio.sleep(4)
        lines = log.take()
        assert [level for level, _ in lines] == ["WARNING", "INFO"] * 6
        assert "It came and went 12 times since the last line. " in lines[6][1]
        manager.failure = down
        await asyncio.sleep(INTERVAL)
        assert log.levels()[0] == "WARNING"  # what lasts is told in any case

    played(story)


def test_a_trouble_that_follows_another_is_not_kept_back() -> None:
    """The last word of the log is never that all is well when it is not."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get_many(NAMES)
        for _ in range(4):  # more than are told at once
            manager.failure = down
            await fails(client, "COLD")
            manager.failure = None
            await client.refresh("K0")
        assert log.levels() == ["WARNING", "INFO"] * 3
        manager.failure = down
        for _ in range(12):
            await fails(client, "COLD")
            await asyncio.sleep(1)
        assert log.levels() == ["WARNING"]

    played(story)


def test_what_is_asked_for_twice_is_not_told_before() -> None:
    """A denial of one secret is confirmed before it is believed; that others are answered meanwhile is no recovery."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get_many(NAMES)
        manager.failure, manager.of = denied, ("K3",)
        asked = len(manager.calls)
        while ("get", "K3") not in manager.calls[asked:]:
            await asyncio.sleep(0.1)
        await client.refresh("K0")
        assert client.health() == WELL
        await asyncio.sleep(1)
        (line,) = log.take()
        assert (line[0], " is stale: AccessDeniedError: " in line[1]) == ("WARNING", True)
        assert client.health() == Health("degraded", ("K3",), (), ("default",))

    played(story)


def test_a_source_that_has_never_answered_is_down() -> None:
    """Until it answers, be it that there is no such secret."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        manager.failure = refused
        await fails(client, "K0")
        assert client.health() == Health("down", (), (), ("default",))
        ((level, text),) = log.take()
        assert (level, text.partition(": Auth")[0]) == ("ERROR", f"{HEAD} has not answered")
        manager.failure = None
        await fails(client, "NONE")
        assert (log.levels(), client.health(), status_of(client).state) == (["INFO"], WELL, "fresh")

    played(story)


@pytest.mark.parametrize("failure", [down, refused, denied, nonsense])
def test_a_cold_read_that_fails_degrades_a_source_that_has_answered(failure: Failure) -> None:
    """Nothing that was served is missing; but what was asked for could not be had."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        manager.failure = failure
        await fails(client, "K1")
        assert client.health() == Health("degraded", (), (), ("default",))
        ((level, text),) = log.take()
        assert level == "WARNING"
        assert text.startswith(f"{HEAD} is in trouble: {type(failure('K1')).__name__}: ")
        assert ", 1 value held meanwhile." in text
        manager.failure = None
        await client.get("K1")
        await settled()
        assert (log.levels(), client.health()) == (["INFO"], WELL)

    played(story)


@pytest.mark.parametrize(
    "harmless",
    [
        lambda name: SecretNotFoundError("none", provider="memory", name=name),
        lambda name: InvalidNameError("no name", provider="memory", name=name),
        lambda name: ConflictError("taken", provider="memory", name=name),
        lambda _: UnsupportedOperationError("cannot"),
    ],
)
def test_what_is_wrong_with_a_question_says_nothing_of_the_source(harmless: Failure) -> None:
    """Callers choose the names they ask for."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        manager.failure = harmless
        await fails(client, "ANY")  # also as the first answer of all
        assert (client.health(), log.take()) == (WELL, [])
        manager.failure = None
        await client.get("K0")
        manager.failure = harmless
        await fails(client, "ANY")
        assert (client.health(), log.take(), status_of(client).last_error) == (WELL, [], None)

    played(story)


@pytest.mark.parametrize("how", ["hosted", "warmed up"])
def test_a_required_name_that_cannot_be_had_is_down(how: str) -> None:
    """Although the source answers others: hosted_keys, and what was given to warm_up."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        manager.failure, manager.of = down, ("K1",)
        if how == "hosted":
            await fails(client, "K1")
        else:
            with pytest.raises(AsyncSecretsError):
                await client.warm_up(["K1"])
        assert client.health() == Health("down", (), ("K1",), ("default",))
        await settled()
        assert log.levels() == ["ERROR"]
        manager.failure = None
        await client.get("K1")
        assert client.health() == WELL

    played(story, **({"hosted_keys": ["K0", "K1"]} if how == "hosted" else {}))


@pytest.mark.parametrize("failure", [down, denied, nonsense])
@pytest.mark.parametrize("max_stale", [0.0, 1.0])
def test_a_required_name_that_has_ended_is_missing_until_it_is_answered_itself(
    failure: Failure, max_stale: float
) -> None:
    """Also where it had no time to fail twice; that another is renewed meanwhile, or nobody asks for it, is no cure."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get_many(["K0", "K1"])
        manager.failure, manager.of = failure, ("K0",)
        await asyncio.sleep(INTERVAL + 1)
        for _ in range(10):
            await client.refresh("K1")
            assert client.peek("K0") is None
            assert client.health() == Health("down", (), ("K0",), ("default",))
            await asyncio.sleep(INTERVAL)
        assert log.levels()[-1] == "ERROR"
        manager.failure = None
        await client.get("K0")
        await settled()
        assert (log.levels(), client.health()) == (["INFO"], WELL)

    played(story, max_stale=max_stale, hosted_keys=["K0", "K1"])


def test_after_an_outage_each_required_name_is_missing_until_it_is_answered() -> None:
    """What is not required can be asked for again, and counts as missing no longer; what is, is asked for by itself."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.warm_up(["K0", "K1"])
        await client.get_many(["K2", "K3"])
        manager.failure = down
        await asyncio.sleep(2 * INTERVAL + STALE)
        assert set(client.health().missing) == {"K0", "K1", "K2", "K3"}
        manager.of = ("K1",)
        manager.calls.clear()
        await client.get("K2")
        assert set(client.health().missing) == {"K0", "K1"}
        await asyncio.sleep(0.01)
        assert client.health() == Health("down", (), ("K1",), ("default",))
        assert manager.calls == [("get", "K1")]  # which fails
        manager.failure = None
        await client.get("K1")
        await settled()
        assert (log.levels()[-2:], client.health()) == (["ERROR", "INFO"], WELL)

    played(story)


@pytest.mark.parametrize("how", ["removed", "never there", "deleted by us"])
@pytest.mark.parametrize("cached", [True, False])
def test_a_required_name_that_is_not_there_is_missing(how: str, cached: bool) -> None:
    """The manager is well, and the program is not: down, with its name, until somebody puts it there."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        client._sources["default"]._keeps = cached
        names = ["K0"] if how == "never there" else ["K0", "K1"]
        await client.get_many(names)
        if how == "deleted by us":
            await client.delete("K1")
        else:
            manager.remove("K1")
        await asyncio.sleep(2 * INTERVAL)
        if how == "deleted by us":
            assert client.health() == WELL  # nobody has missed it
        for _ in range(2):
            with pytest.raises(SecretNotFoundError):
                await client.get("K1")
            await client.refresh("K0")
            assert client.health() == Health("down", (), ("K1",), ("default",))
            await asyncio.sleep(3_600 + INTERVAL)
        status = status_of(client)
        assert (status.last_error, status.missing) == ("SecretNotFoundError", ("K1",))
        text = next(text for level, text in log.take() if level == "ERROR")
        assert text.startswith(f"{HEAD} cannot serve 1 secret (K1): SecretNotFoundError: ")
        assert text.endswith("; create it there, or restore it")
        manager.set("K1", "canary-2")
        await client.get("K1")
        await settled()
        assert (log.levels()[-1], client.health()) == ("INFO", WELL)

    played(story, hosted_keys=["K0", "K1"])


@pytest.mark.parametrize("failure", [down, denied, nonsense])
def test_a_required_name_is_missing_where_nothing_is_cached(failure: Failure) -> None:
    """Each read asks the manager; that of another name is no cure."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        client._sources["default"]._keeps = False
        await client.get_many(["K0", "K1"])
        manager.failure, manager.of = failure, ("K0",)
        await fails(client, "K0")
        await client.get("K1")
        assert client.health() == Health("down", (), ("K0",), ("default",))
        manager.failure = None
        await client.get("K0")
        await settled()
        assert (log.levels(), client.health()) == (["ERROR", "INFO"], WELL)

    played(story, hosted_keys=["K0", "K1"])


@pytest.mark.parametrize("failure", [down, denied, nonsense])
def test_the_trouble_of_one_name_is_not_over_when_others_are_answered(failure: Failure) -> None:
    """It is stale, and later missing, until it can be had itself."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get_many(NAMES)
        manager.failure, manager.of = failure, ("K3",)
        await asyncio.sleep(2 * INTERVAL)
        assert client.health() == Health("degraded", ("K3",), (), ("default",))
        assert {"1 of 20 values not renewed (K3)" in text for _, text in log.take()} == {True}
        await asyncio.sleep(STALE)
        assert client.health() == Health("down", (), ("K3",), ("default",))
        assert f"{HEAD} cannot serve 1 secret (K3): " in log.take()[-1][1]
        await asyncio.sleep(INTERVAL)  # all others are renewed
        await fails(client, "K3")
        assert client.health().missing == ("K3",)
        manager.failure = None
        await client.get("K3")
        await settled()
        assert (log.levels()[-1], client.health()) == ("INFO", WELL)

    played(story)


def test_a_name_that_nobody_misses_for_an_hour_is_missing_no_longer() -> None:
    """Or a name that was read once, and was then denied, would keep a client down for good."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get_many(NAMES)
        manager.failure, manager.of = denied, ("K3",)
        await asyncio.sleep(INTERVAL + STALE)
        assert client.health().state == "down"
        await asyncio.sleep(3_600 + INTERVAL)
        assert client.health() == WELL
        assert log.levels()[-1] == "INFO"

    played(story)


def test_what_ends_without_a_failure_is_nobodys_trouble() -> None:
    """With max_stale: 0 every value ends at its renewal; only if it cannot be had then is it missing."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        await asyncio.sleep(2 * INTERVAL)
        assert (client.health(), log.take()) == (WELL, [])
        manager.failure = down
        await fails(client, "K0")
        assert client.health() == Health("down", (), ("K0",), ("default",))
        assert log.levels() == ["ERROR"]

    played(story, max_stale=0.0)


def test_evicted_for_a_denial_is_missing_at_once() -> None:
    """``on_denied: evict``."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        source = client._sources["default"]
        source.cache.policy = type(source.cache.policy)(refresh_interval=INTERVAL, max_stale=STALE, evict_denied=True)
        await client.get_many(["K0", "K1"])
        manager.failure, manager.of = denied, ("K0",)
        await asyncio.sleep(INTERVAL)
        assert log.levels() == ["ERROR"]
        await client.refresh("K1")  # that others are answered does not bring it back
        assert client.health() == Health("down", (), ("K0",), ("default",))

    played(story)


@pytest.mark.parametrize("take_away", ["delete", "invalidate", "absent", "put"])
def test_what_is_taken_away_is_not_missing(take_away: str) -> None:
    """Deleted by us, gone at the manager, or written anew."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        manager.failure = down
        await asyncio.sleep(INTERVAL)
        assert client.health().stale == ("K0",)
        if take_away == "invalidate":
            client.invalidate("K0")
            assert client.health().stale == ()
            return
        await asyncio.sleep(STALE)
        assert client.health().missing == ("K0",)
        manager.failure = None
        manager.remove("K0") if take_away == "absent" else None
        if take_away == "put":
            await client.put("K0", "canary-2")
        elif take_away == "delete":
            await client.delete("K0")
        else:
            await fails(client, "K0")
        assert client.health() == WELL

    played(story)


@pytest.mark.parametrize("how", ["invalidated", "evicted"])
def test_what_left_the_cache_is_missing_when_it_cannot_be_had_again(how: str) -> None:
    """It was served a moment ago, whoever took it out."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        client.invalidate("K0") if how == "invalidated" else await client.get("K1")
        assert client.health() == WELL
        manager.failure = down
        await fails(client, "K0")
        assert (client.health().state, client.health().missing) == ("down", ("K0",))
        manager.failure = None
        await client.get("K0")
        assert client.health() == WELL

    played(story, max_entries=1)


def test_rotations_seen_together_are_one_line() -> None:
    """With how many there were; what this process writes itself is no news to it."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get_many(NAMES)
        await client.put("K0", "canary-own")
        await client.put("K0", "canary-own-2")
        await settled()
        assert log.take() == []
        for name in NAMES[1:]:
            manager.set(name, "canary-2")
        await asyncio.sleep(2 * INTERVAL)
        assert log.take("asyncsecrets.rotation") == [
            (
                "INFO",
                (
                    f"{HEAD}: 19 secrets were rotated: K1 (version 1 -> 2), K2 (version 1 -> 2), K3 (version 1 -> 2) "
                    "and 16 more"
                ),
            )
        ]

    played(story)


def test_a_rotation_that_is_not_told_yet_is_told_when_the_client_is_closed() -> None:
    """There are five seconds between two lines."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        for version in (1, 2):
            await client.get("K0")
            manager.set("K0", f"canary-{version + 1}")
            await client.refresh("K0")
            await settled()
        assert log.take() == [("INFO", f"{HEAD}: a secret was rotated: K0 (version 1 -> 2)")]
        await client.aclose()
        assert log.take() == [("INFO", f"{HEAD}: a secret was rotated: K0 (version 2 -> 3)")]

    played(story)


def test_members_of_one_secret_are_rotated_once() -> None:
    """The line names the secret that the manager has, and none of its members."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        manager.set("ALL", '{"a": "canary-a", "b": "canary-b"}')
        await client.get_many(["secret:///ALL?field=a", "secret:///ALL?field=b"])
        manager.set("ALL", '{"a": "canary-a2", "b": "canary-b2"}')
        await asyncio.sleep(INTERVAL)
        assert log.take() == [("INFO", f"{HEAD}: a secret was rotated: ALL (version 1 -> 2)")]

    played(story)


def test_a_secret_that_is_gone_is_told() -> None:
    """A served secret that somebody took away is a warning, and says why."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        manager.remove("K0")
        await asyncio.sleep(INTERVAL)
        ((level, text),) = log.take()
        assert level == "WARNING"
        assert text.startswith(f"{HEAD}: a secret is gone: K0 (memory: 'K0' does not exist")
        assert client.health() == WELL

    played(story)


def test_a_line_is_one_line() -> None:
    """Whatever a name or a foreign provider's message holds."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        manager.failure = lambda _: MalformedResponseError("two\nlines \x1b[2J", provider="memory")
        await fails(client, "K0")
        ((_, text),) = log.take()
        assert r"two\nlines \x1b[2J." in text
        assert text.isprintable()

    played(story)


def test_closing_is_no_trouble() -> None:
    """What fails because the client is closed is not told, and not remembered."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        manager.gate = asyncio.Event()
        waiting = [asyncio.ensure_future(client.get("K1")), asyncio.ensure_future(client.put("K2", "canary-2"))]
        await settled()
        closing = asyncio.ensure_future(client.aclose())
        await settled()
        manager.failure = down
        manager.gate.set()  # the write, which closing waits for, fails
        await closing
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, AsyncSecretsError) for outcome in outcomes)
        await settled()
        assert (log.take(), client.health()) == ([], WELL)

    played(story)


def test_when_nothing_is_left_it_is_told_once_more() -> None:
    """The first line says that others are served still."""

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        await client.get("K0")
        await asyncio.sleep(100)
        await client.get("K1")
        manager.failure = down
        await asyncio.sleep(INTERVAL + STALE + 10)
        (first, last) = [text for level, text in log.take() if level == "ERROR"]
        assert " cannot serve 1 secret (K0): " in first
        assert ", 1 value held meanwhile. " in first
        assert " still cannot serve 2 secrets (K0, K1): " in last
        assert "held meanwhile" not in last

    played(story)


async def test_what_is_not_told_yet_is_told_when_the_client_is_closed() -> None:
    """A script that fails and ends in the same moment."""
    manager = Manager()
    manager.failure = down
    with listening() as log:
        async with client_of(manager, retry=ONCE) as client:
            with pytest.raises(AsyncSecretsError):
                await client.get("K0")
        assert log.levels() == ["ERROR"]


def test_a_handler_that_fails_harms_nobody() -> None:
    """Nor does one that asks the client, or one that is in the way of every line."""

    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("a handler of somebody's")

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        broken, logger = Broken(), logging.getLogger("asyncsecrets")
        logger.addHandler(broken)
        try:
            await client.get("K0")
            manager.failure = down
            await asyncio.sleep(INTERVAL)
            assert value(client.peek("K0")) == "canary-1"
            await client.aclose()
        finally:
            logger.removeHandler(broken)

    played(story)


def test_a_line_is_said_in_no_requests_context() -> None:
    """A request that happens to meet the fault is not who the line is about."""
    request: ContextVar[str] = ContextVar("request", default="none")
    seen = []

    class Contexts(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(request.get())

    async def story(client: SecretsClient, manager: Partly, log: Log) -> None:
        handler, logger = Contexts(), logging.getLogger("asyncsecrets")
        logger.addHandler(handler)
        try:
            await client.get("K0")
            manager.failure = down
            await asyncio.sleep(INTERVAL / 2 + 10)
            request.set("mine")
            client.invalidate("K0")  # which ends the trouble, here and now
            await settled()
        finally:
            logger.removeHandler(handler)

    played(story)
    assert seen == ["none", "none"]


def test_what_a_client_says_of_itself_may_be_asked_from_any_thread() -> None:
    """While entries come and go, are renewed, fail and end: no answer is an exception, nor an impossible one."""
    wrong: list[str] = []
    ended = threading.Event()
    switching = sys.getswitchinterval()

    def ask(client: SecretsClient) -> None:
        while not ended.is_set():
            try:
                if client.health().state not in {"fresh", "degraded", "down"}:
                    wrong.append("a state that there is not")
                rows = status_of(client).secrets
                wrong.extend("a value that ended long ago" for row in rows if row.ends is not None and row.ends < 0)
                client.explain("K1")
            except Exception as error:  # noqa: BLE001  # whatever it is, it is wrong
                wrong.append(f"{type(error).__name__}: {error}")

    async def main() -> None:
        manager = Partly({f"K{i}": "canary" for i in range(600)})
        async with client_of(manager, refresh_interval=0.05, max_stale=0.1, max_entries=400, retry=ONCE) as client:
            threads = [threading.Thread(target=ask, args=(client,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            try:
                until = time.monotonic() + 2.0
                while time.monotonic() < until:
                    manager.failure = down if manager.failure is None else None
                    names = random.sample(range(600), 60)
                    await asyncio.gather(*(client.get(f"K{i}") for i in names), return_exceptions=True)
                    client.invalidate(f"K{names[0]}")
                    await asyncio.sleep(0.01)
            finally:
                ended.set()
                for thread in threads:
                    thread.join()

    sys.setswitchinterval(1e-5)
    try:
        asyncio.run(main())
    finally:
        sys.setswitchinterval(switching)
    assert wrong == []
