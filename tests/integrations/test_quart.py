"""Quart: the secrets are open for every function of its start and its end, and closed whatever fails."""

from __future__ import annotations

import pytest
from quart import Quart, websocket
from quart.testing.app import LifespanError

from asyncsecrets import RetryPolicy, Secret, SecretsClient, errors, get_secret
from asyncsecrets.integrations.quart import init_app, readyz, secret, secrets_client, unavailable
from asyncsecrets.integrations.readiness import UNAVAILABLE
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.providers.memory import MemoryProvider


def app_with(secrets):
    """An app that reads them."""
    app = Quart(__name__)
    init_app(app, secrets)
    app.add_url_rule("/readyz", view_func=readyz(secrets))

    @app.get("/secret")
    async def read():
        return (await secret("KEY"))[-1]

    @app.websocket("/socket")
    async def talk():
        await websocket.send((await secret("KEY"))[-1])

    return app


@pytest.fixture
def app(secrets):
    """The same with those of above."""
    return app_with(secrets)


async def answer(client, path="/secret"):
    """The text of an answer."""
    return await (await client.get(path)).get_data(as_text=True)


async def test_views_read_and_see_a_rotation(app, made, provider):
    """Over HTTP and WebSockets, each with the current app's client; it is closed at the end."""
    async with app.test_app() as running:
        client = running.test_client()
        assert await answer(client) == "1"
        async with client.websocket("/socket") as socket:
            assert await socket.receive() == "1"
        provider.set("KEY", "canary-2")
        await made[0].refresh("KEY")
        assert await answer(client) == "2"
    assert [client.is_open for client in made] == [False]


async def test_every_function_of_the_app_finds_them_open(secrets, made):
    """Those of before_serving and after_serving as well, whether they were registered before or after."""
    app, seen = Quart(__name__), []

    async def look():
        seen.append((await secret("KEY"))[-1] + (await get_secret("KEY"))[-1])

    async def around():
        await look()
        yield
        await look()

    app.before_serving(look)
    app.while_serving(around)
    app.after_serving(look)
    init_app(app, secrets)
    app.before_serving(look)
    app.while_serving(around)
    app.after_serving(look)
    async with app.test_app():
        assert seen == ["11"] * 4
    assert seen == ["11"] * 8
    assert [client.is_open for client in made] == [False]


async def test_an_app_can_be_started_again(app, made):
    """As tests do; each time it has a client of its own, which is closed after its last function."""
    seen = []

    async def look():
        seen.append((await secret("KEY"))[-1])

    app.after_serving(look)
    for runs in (1, 2):
        async with app.test_app() as running:
            assert await answer(running.test_client()) == "1"
        assert [client.is_open for client in made] == [False] * runs
        assert seen == ["1"] * runs


@pytest.mark.parametrize("moment", ["start", "end"])
async def test_what_fails_leaves_nothing_open(app, made, caplog, moment):
    """Quart calls no other function of the app then, at the start as at the end."""

    @app.while_serving
    async def fail():
        if moment == "start":
            raise RuntimeError("no database")
        yield
        raise RuntimeError("no database")

    with pytest.raises(LifespanError, match="no database"):
        async with app.test_app():
            pass
    assert [client.is_open for client in made] == [False]


async def test_a_secret_that_is_not_there_fails_the_start(provider):
    """The server is told which."""
    app = app_with(AppSecrets(lambda: SecretsClient.from_provider(provider), required=["KEY", "OTHER", "THIRD"]))
    with pytest.raises(LifespanError, match=r"(?s)2 secrets could not be read.*OTHER.*THIRD"):
        async with app.test_app():
            pass


async def test_an_app_that_is_not_started_reads_all_the_same(app, made):
    """A test client alone starts nothing."""
    assert await answer(app.test_client()) == "1"
    assert await answer(app.test_client()) == "1"
    assert [client.is_open for client in made] == [True]
    await made[0].aclose()


async def test_two_apps_in_one_process_have_each_their_own(secrets):
    """And two that share some share the client, until both have ended."""
    other = AppSecrets(lambda: SecretsClient.from_provider(MemoryProvider({"KEY": "canary-2"})))
    async with app_with(secrets).test_app() as one:
        async with app_with(other).test_app() as two, app_with(secrets).test_app() as three:
            assert [await answer(app.test_client()) for app in (one, two, three)] == ["1", "2", "1"]
        assert await answer(one.test_client()) == "1"


async def test_an_app_without_them_is_told_so(app):
    """It is the current app that counts."""
    async with Quart("other").app_context():
        with pytest.raises(KeyError, match="asyncsecrets"):
            await secrets_client()


async def test_the_probe_tells_what_is_missing(app):
    """200 with everything, 503 without."""

    async def before(operation, name):
        raise errors.UnavailableError("memory: nobody answers", provider="memory", name=name)

    async with app.test_app() as running:
        reply = await running.test_client().get("/readyz")
        assert (reply.status_code, (await reply.get_json())["status"]) == (200, "fresh")
    down = MemoryProvider({}, before=before)
    without = AppSecrets(lambda: SecretsClient.from_provider(down), required=["KEY"], degraded=True)
    async with app_with(without).test_app() as running:
        reply = await running.test_client().get("/readyz")
        assert (reply.status_code, (await reply.get_json())["missing"]) == (503, {"KEY": "UnavailableError"})


async def test_a_secret_is_read_as_what_the_view_wants():
    """Text, a bool or a Secret; a default only for what does not exist."""
    app = app_with(AppSecrets(lambda: SecretsClient.from_provider(MemoryProvider({"FLAG": "yes"}))))
    async with app.test_app(), app.app_context():
        assert await secret("FLAG") == "yes"
        assert await secret("FLAG", bool) is True
        assert isinstance(await secret("FLAG", Secret), Secret)
        assert await secret("OTHER", default=None) is None
        with pytest.raises(errors.SecretNotFoundError):
            await secret("OTHER")
        with pytest.raises(errors.ConfigError, match="str, bool or Secret"):
            await secret("FLAG", int)


async def test_what_is_transient_is_answered_with_503():
    """The answer tells nothing of what failed; what is not transient stays 500."""

    async def before(operation, name):
        if name == "KEY":
            raise errors.RateLimitedError("memory: too many", provider="memory", name=name, retry_after=6.1)
        raise errors.AccessDeniedError("memory: no", provider="memory", name=name)

    retry = RetryPolicy(attempts=1)
    app = app_with(AppSecrets(lambda: SecretsClient.from_provider(MemoryProvider({}, before=before), retry=retry)))
    app.register_error_handler(errors.TransientError, unavailable)

    @app.get("/other")
    async def other():
        return await secret("OTHER")

    async with app.test_app() as running:
        reply = await running.test_client().get("/secret")
        assert (reply.status_code, reply.headers["retry-after"], await reply.get_json()) == (503, "7", UNAVAILABLE)
        reply = await running.test_client().get("/other")
        assert (reply.status_code, b"OTHER" in await reply.get_data()) == (500, False)
