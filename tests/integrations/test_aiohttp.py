"""aiohttp servers: apps and those below them, and what fails beside the secrets."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from asyncsecrets import RetryPolicy, Secret, SecretsClient, errors, get_secret
from asyncsecrets.integrations.aiohttp import SECRETS, readyz, secret, secrets_client, secrets_ctx, unavailable
from asyncsecrets.integrations.readiness import UNAVAILABLE
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.providers.memory import MemoryProvider


async def read(request):
    """The last letter of the secret."""
    return web.Response(text=(await secrets_client(request).get("KEY")).reveal()[-1])


def app_with(secrets=None):
    """An app that reads it."""
    app = web.Application()
    app.router.add_get("/secret", read)
    if secrets is not None:
        app.cleanup_ctx.append(secrets_ctx(secrets))
        app.router.add_get("/readyz", readyz(secrets))
    return app


def running(app):
    """A client of the app, which runs."""
    return TestClient(TestServer(app))


def slow(before):
    """A client of a manager that fails, which does not try again."""
    retry = RetryPolicy(attempts=1)
    return SecretsClient.from_provider(MemoryProvider({}, before=before), retry=retry)


async def answer(client, path="/secret"):
    """The text of an answer."""
    async with client.get(path) as reply:
        return await reply.text()


async def test_handlers_read_and_see_a_rotation(secrets, made, provider):
    """Its client is closed when the app ends."""
    app = app_with(secrets)
    async with running(app) as client:
        assert await answer(client) == "1"
        provider.set("KEY", "canary-2")
        await app[SECRETS].refresh("KEY")
        assert await answer(client) == "2"
    assert [client.is_open for client in made] == [False]


async def test_apps_below_use_the_nearest_client_above(secrets):
    """Their own, or else that of the app that they were added to, however deep."""
    other = AppSecrets(lambda: SecretsClient.from_provider(MemoryProvider({"KEY": "canary-2"})))
    app, middle, own = app_with(secrets), app_with(), app_with(other)
    middle.add_subapp("/deep", app_with())
    app.add_subapp("/middle", middle)
    app.add_subapp("/own", own)
    paths = ["/secret", "/middle/secret", "/middle/deep/secret", "/own/secret"]
    async with running(app) as client:
        assert [await answer(client, path) for path in paths] == ["1", "1", "1", "2"]
        assert own[SECRETS] is not app[SECRETS]


async def test_an_app_and_one_below_it_can_share_them(secrets, made):
    """One client."""
    app, below = app_with(secrets), app_with(secrets)
    app.add_subapp("/below", below)
    async with running(app) as client:
        assert await answer(client, "/below/secret") == "1"
    assert [client.is_open for client in made] == [False]


async def test_what_comes_after_finds_them_open(secrets):
    """Contexts that follow, and signals of the start and the end."""
    app, seen = app_with(secrets), []

    async def look(app):
        seen.append((await app[SECRETS].get("KEY")).reveal()[-1] + (await get_secret("KEY"))[-1])

    async def around(app):
        await look(app)
        yield
        await look(app)

    app.on_startup.append(look)
    app.on_shutdown.append(look)
    app.cleanup_ctx.append(around)
    async with running(app):
        assert seen == ["11"] * 2
    assert seen == ["11"] * 4


@pytest.mark.parametrize("where", ["cleanup_ctx", "on_startup"])
def test_a_start_that_fails_leaves_nothing_open(secrets, made, where):
    """In a context that follows, or a signal. aiohttp leaves no context then; it ends with the event loop."""
    app = app_with(secrets)

    async def fail(app):
        raise RuntimeError("no database")

    async def failing(app):
        await fail(app)
        yield

    getattr(app, where).append(failing if where == "cleanup_ctx" else fail)
    with pytest.raises(RuntimeError, match="no database"):
        web.run_app(app, host="127.0.0.1", port=0, handle_signals=False, print=None)
    assert [client.is_open for client in made] == [False]


async def test_a_secret_that_is_not_there_fails_the_start(provider):
    """With the error that lists it."""
    app = app_with(AppSecrets(lambda: SecretsClient.from_provider(provider), required=["KEY", "OTHER", "THIRD"]))
    runner = web.AppRunner(app)
    with pytest.raises(errors.ResolveError, match=r"(?s)OTHER.*THIRD"):
        await runner.setup()


async def test_the_probe_tells_what_is_missing(secrets):
    """200 with everything, 503 without."""

    async def before(operation, name):
        raise errors.UnavailableError("memory: nobody answers", provider="memory", name=name)

    async with running(app_with(secrets)) as client, client.get("/readyz") as reply:
        assert (reply.status, (await reply.json())["status"]) == (200, "fresh")
    down = MemoryProvider({}, before=before)
    without = AppSecrets(lambda: SecretsClient.from_provider(down), required=["KEY"], degraded=True)
    async with running(app_with(without)) as client, client.get("/readyz") as reply:
        assert (reply.status, (await reply.json())["missing"]) == (503, {"KEY": "UnavailableError"})


async def test_a_secret_is_read_as_what_the_handler_wants():
    """Text, a bool or a Secret; a default only for what does not exist."""

    async def kinds(request):
        found = [
            await secret(request, "FLAG"),
            await secret(request, "FLAG", bool),
            await secret(request, "OTHER", default=None),
        ]
        assert isinstance(await secret(request, "FLAG", Secret), Secret)
        with pytest.raises(errors.SecretNotFoundError):
            await secret(request, "OTHER")
        with pytest.raises(errors.ConfigError, match="str, bool or Secret"):
            await secret(request, "FLAG", int)
        return web.json_response(found)

    app = app_with(AppSecrets(lambda: SecretsClient.from_provider(MemoryProvider({"FLAG": "yes"}))))
    app.router.add_get("/kinds", kinds)
    async with running(app) as client:
        assert await answer(client, "/kinds") == '["yes", true, null]'


async def test_what_is_transient_is_answered_with_503():
    """The answer tells nothing of what failed; what is not transient stays 500."""

    async def before(operation, name):
        if name == "KEY":
            raise errors.RateLimitedError("memory: too many", provider="memory", name=name, retry_after=6.1)
        raise errors.AccessDeniedError("memory: no", provider="memory", name=name)

    async def other(request):
        return web.Response(text=await secret(request, "OTHER", default="none"))

    app = web.Application(middlewares=[unavailable])
    app.cleanup_ctx.append(secrets_ctx(AppSecrets(lambda: slow(before))))
    app.router.add_get("/secret", read)
    app.router.add_get("/other", other)
    async with running(app) as client:
        async with client.get("/secret") as reply:
            assert (reply.status, reply.headers["retry-after"], await reply.json()) == (503, "7", UNAVAILABLE)
        async with client.get("/other") as reply:
            assert reply.status == 500
            assert "OTHER" not in await reply.text()
