"""Litestar: the plugin beside everything else that an app may have at its start and its end."""

from __future__ import annotations

import gc
import warnings
from contextlib import asynccontextmanager

import httpx
import pytest
from litestar import Litestar, WebSocket, get, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.di import NamedDependency, Provide
from litestar.plugins import InitPlugin
from litestar.testing import TestClient

from asyncsecrets import RetryPolicy, Secret, SecretsClient, errors, get_secret
from asyncsecrets.integrations.litestar import SecretsPlugin, readyz, secret, unavailable
from asyncsecrets.integrations.readiness import UNAVAILABLE
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.providers.memory import MemoryProvider


@get("/secret")
async def read(key: NamedDependency[str]) -> str:
    """What the dependency is."""
    return key[-1]


@get("/client")
async def ask(secrets: NamedDependency[SecretsClient]) -> str:
    """The same through the client."""
    return (await secrets.get("KEY")).reveal()[-1]


@websocket("/socket")
async def talk(socket: WebSocket, key: NamedDependency[str]) -> None:
    """The same over a WebSocket."""
    await socket.accept()
    await socket.send_text(key[-1])
    await socket.close()


@pytest.fixture
def app(secrets):
    """An app that reads it in every way."""
    return app_with(secrets)


def make_app(handlers, **options):
    """One that leaves the logging of these tests, which is watched, as it is."""
    return Litestar(handlers, logging_config=None, **options)


def app_with(secrets):
    """The same for any secrets."""
    return make_app([read, ask, talk], plugins=[SecretsPlugin(secrets)], dependencies={"key": secret("KEY")})


def open_ones(made):
    """Which of them are open."""
    return [client for client in made if client.is_open]


def start_of(app):
    """What keeps an app from starting; Litestar hands it on in a group, and leaves a stream of its own unclosed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unclosed <MemoryObject", ResourceWarning)
        with pytest.raises(ExceptionGroup) as group, TestClient(app):
            pass
        (error,) = group.value.exceptions
        error = error.with_traceback(None)
        del group
        gc.collect()
    return error


def test_handlers_are_given_what_they_ask_for(app, made):
    """A client, a value, also over a WebSocket; one client for all of it, closed at the end."""
    with TestClient(app) as client:
        assert client.get("/secret").text == "1"
        assert client.get("/client").text == "1"
        with client.websocket_connect("/socket") as socket:
            assert socket.receive_text() == "1"
        assert open_ones(made) == made
    assert len(made) == 1
    assert open_ones(made) == []


async def test_a_rotation_is_seen(app, secrets, provider):
    """The dependency is read for each request."""
    async with (
        secrets.opened() as client,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as c,
    ):
        assert (await c.get("/secret")).text == "1"
        provider.set("KEY", "canary-2")
        await client.refresh("KEY")
        assert (await c.get("/secret")).text == "2"


async def test_an_app_that_is_not_started_reads_all_the_same(app, made):
    """httpx runs no lifespan."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        assert (await client.get("/secret")).text == "1"
        assert (await client.get("/client")).text == "1"
    assert len(made) == 1
    await made[0].aclose()


def test_everything_of_the_app_finds_the_secrets_open(secrets):
    """Its lifespan, and what runs at the start and the end: Litestar leaves lifespans before it calls on_shutdown."""
    seen = []

    async def look(app: Litestar) -> None:
        seen.append((await app.state.secrets.get("KEY")).reveal()[-1] + (await get_secret("KEY"))[-1])

    @asynccontextmanager
    async def own(app):
        await look(app)
        yield
        await look(app)

    app = make_app([], lifespan=[own], on_startup=[look], on_shutdown=[look], plugins=[SecretsPlugin(secrets)])
    with TestClient(app):
        assert seen == ["11", "11"]
    assert seen == ["11"] * 4


@pytest.mark.parametrize("order", [1, -1])
def test_other_plugins_keep_what_they_have(secrets, order):
    """Whichever comes first: nothing of the app is replaced."""
    channels = ChannelsPlugin(MemoryChannelsBackend(), channels=["news"])

    @get("/publish")
    async def publish(key: NamedDependency[str]) -> str:
        channels.publish("hello", "news")
        return key[-1]

    plugins = [channels, SecretsPlugin(secrets)][::order]
    app = make_app([publish], plugins=plugins, dependencies={"key": secret("KEY")})
    with TestClient(app) as client:
        assert client.get("/publish").text == "1"


@pytest.mark.parametrize("where", ["lifespan", "on_startup"])
def test_a_start_that_fails_leaves_nothing_open(secrets, made, where):
    """Something of the app's own fails after the secrets were opened."""

    @asynccontextmanager
    async def fail(_):
        raise RuntimeError("no database")
        yield

    async def stop() -> None:
        raise RuntimeError("no database")

    app = make_app([], plugins=[SecretsPlugin(secrets)], **{where: [fail if where == "lifespan" else stop]})
    assert str(start_of(app)) == "no database"
    assert len(made) == 1
    assert open_ones(made) == []


def test_a_secret_that_is_not_there_fails_the_start(provider, made):
    """With the error that lists it."""

    def make():
        made.append(SecretsClient.from_provider(provider))
        return made[-1]

    app = make_app([], plugins=[SecretsPlugin(AppSecrets(make, required=["KEY", "OTHER", "THIRD"]))])
    error = start_of(app)
    assert isinstance(error, errors.ResolveError)
    assert list(error.failures) == ["OTHER", "THIRD"]
    assert open_ones(made) == []


def test_secrets_are_opened_on_two_loops_at_once_and_again(app, secrets, made):
    """Each run on its own event loop has its own client, and ends no other's."""
    with TestClient(app) as one:
        with TestClient(app_with(secrets)) as two:
            assert one.get("/secret").text == two.get("/secret").text == "1"
            assert len(open_ones(made)) == 2
        assert open_ones(made) == made[:1]
        assert one.get("/client").text == "1"
    with TestClient(app) as three:
        assert three.get("/secret").text == "1"
    assert len(made) == 3
    assert open_ones(made) == []


def test_two_apps_in_one_process_have_each_their_own():
    """A handler of one never reads the other's."""
    one, two = (
        app_with(AppSecrets(lambda value=value: SecretsClient.from_provider(MemoryProvider({"KEY": value}))))
        for value in ("canary-1", "canary-2")
    )
    with TestClient(one) as first, TestClient(two) as second:
        assert [client.get(path).text for client in (first, second) for path in ("/secret", "/client")] == list("1122")


def test_dependencies_are_overridden_as_litestar_does(secrets):
    """Nearer to the handler, or by the app's own of that name."""

    async def fake() -> str:
        return "fake-3"

    near = get("/near", dependencies={"key": Provide(fake)})(read.fn)
    app = make_app([read, near], plugins=[SecretsPlugin(secrets)], dependencies={"key": secret("KEY")})
    with TestClient(app) as client:
        assert [client.get(path).text for path in ("/secret", "/near")] == ["1", "3"]

    other = SecretsClient.from_provider(MemoryProvider({"KEY": "canary-4"}))

    async def own() -> SecretsClient:
        return other

    dependencies = {"key": secret("KEY"), "secrets": Provide(own)}
    with TestClient(make_app([read], plugins=[SecretsPlugin(secrets)], dependencies=dependencies)) as client:
        assert client.get("/secret").text == "4"
        client.blocking_portal.call(other.aclose)


def test_nothing_of_it_is_in_the_schema(app):
    """Neither parameters nor the probe."""
    app.register(readyz(AppSecrets()))
    schema = app.openapi_schema.to_schema()
    assert set(schema["paths"]) == {"/secret", "/client"}
    assert "parameters" not in schema["paths"]["/secret"]["get"]
    assert schema["components"] == {"schemas": {}}


def test_a_value_of_another_type_than_the_handler_wants_is_not_shown(secrets):
    """Litestar checks what a dependency is."""

    @get("/number")
    async def number(key: NamedDependency[int]) -> str:
        return str(key)

    app = make_app([number], plugins=[SecretsPlugin(secrets)], dependencies={"key": secret("KEY")})
    with TestClient(app) as client:
        answer = client.get("/number")
        assert (answer.status_code, "canary" in answer.text) == (500, False)


def test_the_probe_tells_what_is_missing(secrets):
    """200 with everything, 503 without."""

    async def before(operation, name):
        raise errors.UnavailableError("memory: nobody answers", provider="memory", name=name)

    down = MemoryProvider({}, before=before)
    without = AppSecrets(lambda: SecretsClient.from_provider(down), required=["KEY"], degraded=True)
    app = make_app([readyz(secrets, "/ready")], plugins=[SecretsPlugin(secrets)])
    with TestClient(app) as client:
        answer = client.get("/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "fresh")
    with TestClient(make_app([readyz(without)], plugins=[SecretsPlugin(without)])) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, {"KEY": "UnavailableError"})


class Replacing(InitPlugin):
    """A plugin of somebody's that sets its lifespan in the place of what others have."""

    def on_app_init(self, app_config):
        """As many are written."""

        @asynccontextmanager
        async def own(_):
            yield

        app_config.lifespan = [own]
        return app_config


def test_a_plugin_that_takes_ours_away_is_survived(secrets, made):
    """The client is opened by the first request then."""
    app = make_app([read], plugins=[SecretsPlugin(secrets), Replacing()], dependencies={"key": secret("KEY")})
    with TestClient(app) as client:
        assert client.get("/secret").text == "1"
        client.blocking_portal.call(made[0].aclose)


def test_a_secret_is_read_as_what_the_handler_wants():
    """Text, a bool or a Secret; a default only for what does not exist."""

    @get("/kinds")
    async def kinds(
        text: NamedDependency[str],
        flag: NamedDependency[bool],
        whole: NamedDependency[Secret],
        other: NamedDependency[str | None],
    ) -> list[str | bool | None]:
        return [text, flag, whole.version, other]

    dependencies = {
        "text": secret("FLAG"),
        "flag": secret("FLAG", bool),
        "whole": secret("FLAG", Secret),
        "other": secret("OTHER", default=None),
    }
    secrets = AppSecrets(lambda: SecretsClient.from_provider(MemoryProvider({"FLAG": "yes"})))
    with TestClient(make_app([kinds], plugins=[SecretsPlugin(secrets)], dependencies=dependencies)) as client:
        assert client.get("/kinds").json() == ["yes", True, "1", None]
    with pytest.raises(errors.ConfigError, match="str, bool or Secret"):
        secret("FLAG", int)


def test_what_is_transient_is_answered_with_503():
    """The answer tells nothing of what failed; what is not transient stays 500."""

    async def before(operation, name):
        if name == "KEY":
            raise errors.RateLimitedError("memory: too many", provider="memory", name=name, retry_after=6.1)
        raise errors.AccessDeniedError("memory: no", provider="memory", name=name)

    @get("/other", dependencies={"other": secret("OTHER")})
    async def other(other: NamedDependency[str]) -> str:
        return other

    retry = RetryPolicy(attempts=1)
    secrets = AppSecrets(lambda: SecretsClient.from_provider(MemoryProvider({}, before=before), retry=retry))
    app = make_app(
        [read, other],
        plugins=[SecretsPlugin(secrets)],
        dependencies={"key": secret("KEY")},
        exception_handlers={errors.TransientError: unavailable},
    )
    with TestClient(app) as client:
        answer = client.get("/secret")
        assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (503, "7", UNAVAILABLE)
        answer = client.get("/other")
        assert (answer.status_code, "OTHER" in answer.text) == (500, False)
