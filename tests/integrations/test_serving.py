"""AppSecrets: what is opened when, shared with whom, closed by whom; and which names keep an app from starting."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading

import pytest

from asyncsecrets import default, get_secret
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ClosedError, ConfigError, ResolveError
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import Manager, client_of, denied, down, in_virtual_time, settled, value
from tests.integrations.support import VALUES, names_of, secrets_of, virtual_secrets

# -- opening and closing


async def test_a_client_is_open_within_and_the_default() -> None:
    manager = Manager(VALUES)
    secrets = secrets_of(manager)
    async with secrets.opened() as client:
        assert client is secrets.client
        assert await get_secret("A") == "canary-a"
        assert manager.opened == 1
    assert manager.closed == 1
    assert not client.is_open
    with pytest.raises(ClosedError, match="lifespan"):
        _ = secrets.client


def test_nothing_happens_before_it_is_opened(tmp_path) -> None:
    secrets = AppSecrets(tmp_path / "not-there.yaml", required=["A"])
    assert secrets.readiness().status == "closed"
    with pytest.raises(ConfigError, match="not-there"):
        asyncio.run(_enter(secrets))


async def _enter(secrets: AppSecrets) -> None:
    async with secrets.opened():
        pass


async def test_a_file_is_read_in_a_thread() -> None:
    seen: list[int] = []

    def make() -> SecretsClient:
        seen.append(threading.get_ident())
        return client_of(Manager(VALUES))

    async with AppSecrets(make).opened():
        assert seen
        assert seen != [threading.get_ident()]


async def test_it_is_opened_again_with_a_new_client() -> None:
    managers: list[Manager] = []

    def make() -> SecretsClient:
        managers.append(Manager({"A": f"canary-{len(managers)}"}))
        return client_of(managers[-1])

    secrets = AppSecrets(make)
    for turn in range(2):
        async with secrets.opened() as client:
            assert value(await client.get("A")) == f"canary-{turn}"
    assert [manager.closed for manager in managers] == [1, 1]


def test_each_event_loop_has_its_own() -> None:
    manager = Manager(VALUES)
    secrets = secrets_of(manager, required=["A"])
    asyncio.run(_enter(secrets))
    asyncio.run(_enter(secrets))
    assert (manager.opened, manager.closed, names_of(manager)) == (2, 2, ["A", "A"])


def test_two_loops_at_once_do_not_meet() -> None:
    secrets = secrets_of(Manager(VALUES))
    inside, done = threading.Event(), threading.Event()
    clients: list[SecretsClient] = []

    async def main() -> None:
        async with secrets.opened() as client:
            clients.append(client)
            inside.set()
            await asyncio.to_thread(done.wait, 30)
            assert secrets.client is client

    other = threading.Thread(target=asyncio.run, args=(main(),))
    other.start()
    assert inside.wait(30)
    assert secrets.client is clients[0]  # as in a sync handler, which no loop runs

    async def here() -> None:
        with pytest.raises(ClosedError):
            _ = secrets.client
        async with secrets.opened() as client:
            assert client is not clients[0]

    try:
        asyncio.run(here())
    finally:
        done.set()
        other.join()


async def test_who_opens_it_again_shares_it() -> None:
    manager = Manager(VALUES)
    secrets = secrets_of(manager, required=["A"])
    async with secrets.opened() as outer:
        async with secrets.opened() as inner:
            assert inner is outer
        assert outer.is_open
        assert await get_secret("A") == "canary-a"
    assert (manager.opened, manager.closed, names_of(manager)) == (1, 1, ["A"])


async def test_who_comes_while_it_opens_waits_for_it() -> None:
    manager = Manager(VALUES)
    manager.gate = asyncio.Event()
    secrets = secrets_of(manager, required=["A"])
    first = asyncio.create_task(_enter(secrets))
    await _until(lambda: manager.calls)
    second = asyncio.create_task(_enter(secrets))
    await settled()
    assert secrets.readiness().status == "starting"
    first.cancel()  # which harms the other one in nothing
    await settled()
    manager.gate.set()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (manager.opened, manager.closed, names_of(manager)) == (1, 1, ["A"])


async def _until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_a_start_that_is_cancelled_leaves_nothing_open() -> None:
    manager = Manager(VALUES)
    manager.gate = asyncio.Event()
    secrets = secrets_of(manager, required=["A"])
    starting = asyncio.create_task(_enter(secrets))
    await _until(lambda: manager.calls)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert manager.closed == 1
    assert secrets.readiness().status == "closed"
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("asyncsecrets")]


async def test_a_start_that_is_cancelled_while_it_waits_for_its_turn_ends_at_once() -> None:
    manager = Manager(VALUES)
    starting = asyncio.create_task(_enter(secrets_of(manager, required=["A"], spread=1e6, jitter=lambda: 1.0)))
    await _until(lambda: manager.opened)
    await settled()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (manager.closed, manager.calls) == (1, [])
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("asyncsecrets")]


async def test_an_end_that_is_cancelled_closes_all_the_same() -> None:
    manager = Manager(VALUES)
    secrets = secrets_of(manager)
    inside = asyncio.Event()

    async def app() -> None:
        async with secrets.opened():
            inside.set()

    task = asyncio.create_task(app())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert manager.closed == 1


async def test_an_app_that_fails_inside_has_its_own_exception_and_a_closed_client() -> None:
    manager = Manager(VALUES)
    with pytest.raises(ZeroDivisionError):
        async with secrets_of(manager).opened():
            _ = 1 // 0
    assert manager.closed == 1


async def test_a_client_that_is_open_already_is_left_open() -> None:
    manager = Manager(VALUES)
    async with client_of(manager) as client:
        async with AppSecrets(client, required=["A"]).opened() as given:
            assert given is client
        assert client.is_open
        assert await get_secret("A") == "canary-a"
    assert manager.closed == 1


async def test_a_client_that_is_not_open_is_opened_once() -> None:
    manager = Manager(VALUES)
    secrets = AppSecrets(client_of(manager))
    await _enter(secrets)
    assert manager.closed == 1
    with pytest.raises(ClosedError, match="build a new one"):
        await _enter(secrets)


async def test_several_apps_each_have_their_own_and_the_default_is_the_last() -> None:
    one, other = secrets_of(Manager({"A": "canary-1"})), secrets_of(Manager({"A": "canary-2"}))
    async with one.opened(), other.opened():
        assert value(await one.client.get("A")) == "canary-1"
        assert value(await other.client.get("A")) == "canary-2"
        assert await get_secret("A") == "canary-2"


@pytest.mark.parametrize(
    ("config", "options", "told"),
    [
        (5, {}, "not int"),
        ("config.yaml", {"required": "DB_PASSWORD"}, "required takes several names"),
        ("config.yaml", {"optional": [5]}, "names of secrets"),
        ("config.yaml", {"within": -1}, "within is a number of seconds"),
        ("config.yaml", {"spread": float("nan")}, "spread is a number of seconds"),
        ("config.yaml", {"required": ["A"], "optional": ["A"]}, "A cannot be optional and needed"),
        (lambda: None, {"environ": {}}, "give them to the one that you make"),
    ],
)
def test_what_makes_no_sense_is_told_at_once(config, options, told) -> None:
    with pytest.raises(ConfigError, match=told):
        AppSecrets(config, **options)


async def test_a_function_that_makes_no_client_is_told_so() -> None:
    with pytest.raises(ConfigError, match="returned str, not a SecretsClient"):
        await _enter(AppSecrets(lambda: "canary-client"))


# -- without a lifespan


def test_it_is_opened_for_as_long_as_the_loop_lasts() -> None:
    manager = Manager(VALUES)
    secrets = secrets_of(manager, required=["A"])

    async def serve() -> None:
        clients = {id(client) for client in await asyncio.gather(*(secrets.reach() for _ in range(5)))}
        clients.add(id(await secrets.reach()))
        assert len(clients) == 1
        assert await get_secret("A") == "canary-a"
        async with secrets.opened() as client:  # a lifespan after all
            assert {id(client)} == clients
        assert secrets.client.is_open

    asyncio.run(serve())
    asyncio.run(serve())
    assert (manager.opened, names_of(manager)) == (2, ["A", "A"])
    assert manager.closed + manager.abandoned >= 1

    async def other() -> None:
        with pytest.raises(ClosedError):
            _ = secrets.client
        await _enter(secrets)

    asyncio.run(other())
    gc.collect()
    assert default._open == ()


def test_one_that_was_reached_and_cancelled_harms_no_other() -> None:
    async def serve() -> None:
        manager = Manager(VALUES)
        manager.gate = asyncio.Event()
        secrets = secrets_of(manager, required=["A"])
        first, second = (asyncio.create_task(secrets.reach()) for _ in range(2))
        await _until(lambda: manager.calls)
        first.cancel()
        await settled()
        manager.gate.set()
        assert (await second).is_open
        assert secrets.client.is_open

    asyncio.run(serve())


def test_what_a_loop_has_left_is_closed_on_the_next() -> None:
    secrets = secrets_of(Manager(VALUES))
    first = asyncio.run(secrets.reach())
    assert first.is_open
    second = asyncio.run(secrets.reach())
    assert not first.is_open
    assert second.is_open
    asyncio.run(_enter(secrets))
    assert not second.is_open


async def test_what_was_closed_behind_its_back_is_opened_anew() -> None:
    secrets = secrets_of(Manager(VALUES))
    first = await secrets.reach()
    await default.reset_default()
    assert not first.is_open
    assert secrets.readiness().status == "closed"
    second = await secrets.reach()
    assert second.is_open
    assert secrets.client is second
    await default.reset_default()


async def test_a_request_that_comes_while_a_lifespan_opens_does_not_keep_it_open() -> None:
    manager = Manager(VALUES)
    manager.gate = asyncio.Event()
    secrets, served = secrets_of(manager, required=["A"]), asyncio.Event()

    async def app() -> None:
        async with secrets.opened():
            await served.wait()

    lifespan = asyncio.create_task(app())
    await _until(lambda: manager.calls)
    request = asyncio.create_task(secrets.reach())
    await settled()
    manager.gate.set()
    assert (await request).is_open
    served.set()
    await lifespan
    assert (manager.opened, manager.closed) == (1, 1)
    assert secrets.readiness().status == "closed"


def test_what_cannot_be_reached_is_tried_anew() -> None:
    async def serve() -> None:
        manager = Manager(VALUES)
        manager.failure = down
        secrets = secrets_of(manager, required=["A"])
        with pytest.raises(ResolveError):
            await secrets.reach()
        manager.failure = None
        assert value(await (await secrets.reach()).get("A")) == "canary-a"

    asyncio.run(serve())


# -- what is required, optional, degraded


async def test_what_is_required_fails_the_start_with_every_name_and_why() -> None:
    manager = Manager({"A": "canary-a"})
    secrets = secrets_of(manager, required=["A", "X", "Y"], client={"hosted_keys": ["A", "X", "Y"]})
    with pytest.raises(ResolveError) as caught:
        await _enter(secrets)
    assert {name: type(error).__name__ for name, error in caught.value.failures.items()} == {
        "X": "SecretNotFoundError",
        "Y": "SecretNotFoundError",
    }
    assert manager.closed == 1
    assert secrets.readiness().status == "closed"


async def test_hosted_stands_for_all_hosted_keys_but_what_is_optional() -> None:
    manager = Manager(VALUES)
    secrets = secrets_of(
        manager, required="hosted", optional=["C"], client={"hosted_keys": ["A", "B", "C"]}, within=5.0
    )
    async with secrets.opened():
        assert sorted(names_of(manager)) == ["A", "B", "C"]
    manager.remove("B")
    manager.remove("C")
    with pytest.raises(ResolveError) as caught:
        await _enter(secrets)
    assert [*caught.value.failures] == ["B"]


async def test_hosted_without_hosted_keys_is_told() -> None:
    with pytest.raises(ConfigError, match="no source has hosted_keys"):
        await _enter(secrets_of(Manager(VALUES), required="hosted"))


async def test_what_is_optional_is_logged_once_and_does_not_fail(caplog) -> None:
    manager = Manager({"A": "canary-a"})
    secrets = secrets_of(manager, optional=["A", "X"], client={"hosted_keys": ["A", "X"]})
    async with secrets.opened():
        assert secrets.readiness().ready
        assert names_of(manager).count("A") == 1
    lines = [record.getMessage() for record in caplog.records if record.name == "asyncsecrets.app"]
    assert lines == ["the app goes without 1 secret that is optional: X (SecretNotFoundError)"]


def test_what_hangs_ends_with_the_time_that_a_start_may_take() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        manager.gate = asyncio.Event()
        secrets = virtual_secrets(clock, manager, required=["A", "B"], within=3.0)
        began = clock.monotonic()
        with pytest.raises(ResolveError) as caught:
            await _enter(secrets)
        assert clock.monotonic() - began == pytest.approx(3.0, abs=2.1)  # closing waits two seconds for what hangs
        assert {type(error).__name__ for error in caught.value.failures.values()} == {"DeadlineExceededError"}

    in_virtual_time(main)


def test_a_start_is_spread() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        began = clock.monotonic()
        async with virtual_secrets(clock, manager, required=["A"], spread=8.0).opened():
            assert clock.monotonic() - began == pytest.approx(4.0)

    in_virtual_time(main)


@pytest.mark.parametrize("degraded", [True, ["A"]])
def test_a_degraded_start_asks_until_it_has_all(degraded, caplog) -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        manager.failure = down
        secrets = virtual_secrets(clock, manager, required=["A"], degraded=degraded)
        async with secrets.opened():
            first = secrets.readiness()
            assert (first.ready, first.http_status, first.status) == (False, 503, "down")
            assert first.as_dict()["missing"] == {"A": "UnavailableError"}
            await asyncio.sleep(5.0)
            manager.failure = None
            await asyncio.sleep(5.0)
            assert secrets.readiness().ready
            assert secrets.readiness().status == "fresh"
            asked = len(manager.calls)
            await asyncio.sleep(60.0)
            assert len(manager.calls) == asked < 10

    caplog.set_level(logging.INFO, "asyncsecrets.app")
    in_virtual_time(main)
    told = [record.getMessage() for record in caplog.records if record.name == "asyncsecrets.app"]
    assert told[0].startswith("the app has started without 1 secret: A (UnavailableError).")
    assert told[1].startswith("the app is ready after ")
    assert len(told) == 2


def test_what_is_optional_is_asked_for_until_its_manager_has_answered(caplog) -> None:
    """Else the readiness would tell of an outage that is over, as long as nobody reads."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"A": "canary-a"})
        manager.failure = down
        secrets = virtual_secrets(clock, manager, optional=["A", "X"])
        async with secrets.opened() as client:
            assert (secrets.readiness().ready, secrets.readiness().status) == (True, "degraded")
            await asyncio.sleep(20.0)
            manager.failure = None
            await asyncio.sleep(10.0)
            assert secrets.readiness().status == "fresh"
            assert value(client.peek("A")) == "canary-a"
            asked = len(manager.calls)
            await asyncio.sleep(60.0)
            assert len(manager.calls) == asked < 30

    in_virtual_time(main)
    told = [record.getMessage() for record in caplog.records if record.name == "asyncsecrets.app"]
    assert told == ["the app goes without 2 secrets that are optional: A (UnavailableError), X (UnavailableError)"]


def test_a_degraded_app_is_ready_before_what_is_optional_is_there(caplog) -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        manager.failure = down
        secrets = virtual_secrets(clock, manager, required=["A"], degraded=True, optional=["B"])
        async with secrets.opened() as client:

            async def before(operation: str, name: str) -> None:
                if name == "B":
                    raise down(name)

            manager.failure, manager.before = None, before
            await asyncio.sleep(30.0)
            assert (secrets.readiness().ready, client.peek("B")) == (True, None)
            manager.before = None
            await asyncio.sleep(10.0)
            assert secrets.readiness().status == "fresh"
            assert value(client.peek("B")) == "canary-b"

    caplog.set_level(logging.INFO, "asyncsecrets.app")
    in_virtual_time(main)
    told = [record.getMessage() for record in caplog.records if record.name == "asyncsecrets.app"]
    assert [line.startswith("the app is ready after ") for line in told] == [False, False, True]


def test_a_degraded_app_asks_also_where_nobody_probes() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        manager.failure = down
        async with virtual_secrets(clock, manager, required=["A"], degraded=True).opened() as client:
            manager.failure = None
            await asyncio.sleep(5.0)
            assert value(client.peek("A")) == "canary-a"

    in_virtual_time(main)


@pytest.mark.parametrize("failure", [denied, None])
def test_a_start_is_not_degraded_by_what_waiting_does_not_mend(failure) -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager({})
        manager.failure = failure
        secrets = virtual_secrets(clock, manager, required=["A"], degraded=True, client={"hosted_keys": ["A"]})
        with pytest.raises(ResolveError):
            await _enter(secrets)

    in_virtual_time(main)


def test_only_the_names_that_are_degraded_may_wait() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        manager.failure = down
        with pytest.raises(ResolveError) as caught:
            await _enter(virtual_secrets(clock, manager, required=["A"], degraded=["B"]))
        assert sorted(caught.value.failures) == ["A", "B"]

    in_virtual_time(main)


def test_a_degraded_app_that_ends_asks_no_more() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        manager.failure = down
        await _enter(virtual_secrets(clock, manager, required=["A"], degraded=True))
        asked = len(manager.calls)
        await asyncio.sleep(600)
        assert len(manager.calls) == asked

    in_virtual_time(main)


# -- readiness later on


@pytest.mark.parametrize("required", [["A"], []])
def test_readiness_does_not_stay_down_when_nobody_asks(required) -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        limits = {"refresh_interval": 60.0, "max_stale": 60.0}
        secrets = virtual_secrets(clock, manager, required=required, client=limits)
        async with secrets.opened() as client:
            await client.get("A")
            manager.failure = down
            await asyncio.sleep(100.0)
            stale = secrets.readiness()
            assert (stale.ready, stale.status, stale.stale) == (True, "degraded", ("A",))
            await asyncio.sleep(60.0)
            assert secrets.readiness().missing == {"A": "UnavailableError"}
            await asyncio.sleep(60.0)
            manager.failure = None
            assert not secrets.readiness().ready  # a probe: nobody else asks
            await asyncio.sleep(10.0)
            assert secrets.readiness().ready

    in_virtual_time(main)


def test_what_is_not_needed_does_not_make_it_not_ready() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = Manager(VALUES)
        secrets = virtual_secrets(
            clock,
            manager,
            required=["A"],
            client={"refresh_interval": 60.0, "max_stale": 60.0},
        )
        async with secrets.opened() as client:
            await client.get("B")

            async def before(operation: str, name: str) -> None:
                if name == "B":
                    raise denied(name)

            manager.before = before
            await asyncio.sleep(200.0)
            assert client.health().state == "down"
            readiness = secrets.readiness()
            assert (readiness.ready, readiness.status) == (True, "degraded")

    in_virtual_time(main)


async def test_no_error_that_leaves_has_a_frame_of_ours() -> None:
    manager = Manager({})
    try:
        await _enter(secrets_of(manager, required=["A"], client={"hosted_keys": ["A"]}))
    except ResolveError as error:
        found, traceback = [], error.__traceback__
        while traceback is not None:
            found.append(traceback.tb_frame.f_code.co_filename)
            traceback = traceback.tb_next
        assert [name for name in found if "/asyncsecrets/" in name and "boundary" not in name] == []
