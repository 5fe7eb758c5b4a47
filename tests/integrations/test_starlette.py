"""Starlette: state, lifespans within lifespans, mounted apps, test clients of every kind."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from asgi_lifespan import LifespanManager
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from asyncsecrets import default, get_secret
from asyncsecrets.errors import AsyncSecretsError, ClosedError, ResolveError, TransientError
from asyncsecrets.integrations.asgi import with_secrets
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.integrations.starlette import lifespan, readyz, unavailable
from tests.client.support import Manager, client_of, down
from tests.integrations.support import VALUES, secrets_of


async def last_of_a(request: Request) -> PlainTextResponse:
    secret = await request.state.secrets.get("A")
    return PlainTextResponse(secret.reveal()[-1])


def app_of(secrets: AppSecrets, own: Any = None, **options: Any) -> Starlette:
    routes = [Route("/", last_of_a), Route("/readyz", readyz(secrets)), *options.pop("routes", ())]
    return Starlette(routes=routes, lifespan=lifespan(secrets, own), **options)


def test_the_client_is_in_the_requests_state() -> None:
    manager = Manager(VALUES)
    with TestClient(app_of(secrets_of(manager))) as client:
        assert client.get("/").text == "a"
        assert client.get("/readyz").json()["status"] == "fresh"
    assert (manager.opened, manager.closed) == (1, 1)


def test_one_app_is_started_by_every_test_client() -> None:
    manager = Manager(VALUES)
    app = app_of(secrets_of(manager))
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/").text == "a"
    assert (manager.opened, manager.closed) == (2, 2)


def test_an_apps_own_lifespan_is_within_and_keeps_its_state() -> None:
    lived: list[str] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, str]]:
        lived.append(await get_secret("A"))
        yield {"mine": "here"}
        lived.append(await get_secret("A"))

    async def mine(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.mine)

    with TestClient(app_of(secrets_of(Manager(VALUES)), own, routes=[Route("/mine", mine)])) as client:
        assert client.get("/mine").text == "here"
        assert client.get("/").text == "a"
    assert lived == ["canary-a", "canary-a"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_own_lifespan_that_fails_closes_the_secrets(when) -> None:
    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[None]:
        if when == "before":
            raise RuntimeError("no database")
        yield
        raise RuntimeError("no database")

    manager = Manager(VALUES)
    with pytest.raises(RuntimeError, match="no database"), TestClient(app_of(secrets_of(manager), own)):
        pass
    assert (manager.opened, manager.closed) == (1, 1)


def test_a_task_group_around_the_app_ends_it_and_closes_the_secrets() -> None:
    """A task of the app's own fails while it serves: the group cancels the lifespan."""
    manager, failing = Manager(VALUES), threading.Event()

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_fails_after, failing)
            yield

    with pytest.raises(BaseException) as caught, TestClient(app_of(secrets_of(manager), own)) as client:  # noqa: PT012
        assert client.get("/").text == "a"
        failing.set()
    assert "no consumer" in "".join(traceback.format_exception(caught.value))
    assert (manager.opened, manager.closed) == (1, 1)


async def _fails_after(failing: threading.Event) -> None:
    while not failing.is_set():
        await anyio.sleep(0.001)
    raise RuntimeError("no consumer")


def test_what_is_required_and_not_there_keeps_the_app_from_starting() -> None:
    app = app_of(secrets_of(Manager({}), required=["A", "B"], client={"hosted_keys": ["A", "B"]}))
    with pytest.raises(ResolveError) as caught, TestClient(app):
        pass
    assert sorted(caught.value.failures) == ["A", "B"]


def test_a_mounted_app_shares_what_the_outer_one_has_opened() -> None:
    inner = Starlette(routes=[Route("/", last_of_a)])
    with TestClient(app_of(secrets_of(Manager(VALUES)), routes=[Mount("/inner", inner)])) as client:
        assert client.get("/inner/").text == "a"


def test_a_mounted_app_has_its_own_though_nobody_runs_its_lifespan() -> None:
    manager = Manager({"A": "canary-inner"})
    inner = with_secrets(Starlette(routes=[Route("/", last_of_a)]), secrets_of(manager))
    outer = app_of(secrets_of(Manager(VALUES)), routes=[Mount("/inner", inner)])
    with TestClient(outer) as client:
        assert [client.get(path).text for path in ("/inner/", "/", "/inner/")] == ["r", "a", "r"]
    assert manager.opened == 1


def test_the_lifespan_of_a_mounted_app_can_be_the_own_one_of_the_outer() -> None:
    manager = Manager({"A": "canary-inner"})
    secrets = secrets_of(manager)
    inner = with_secrets(Starlette(routes=[Route("/", last_of_a)]), secrets)
    outer = app_of(secrets_of(Manager(VALUES)), lifespan(secrets), routes=[Mount("/inner", inner)])
    with TestClient(outer) as client:
        assert [client.get(path).text for path in ("/inner/", "/", "/inner/")] == ["r", "a", "r"]
    assert (manager.opened, manager.closed) == (1, 1)


def test_a_server_without_lifespan_state_is_served_by_the_wrapper() -> None:
    """Starlette refuses a lifespan with a state, where the server has none to put it in."""
    secrets = secrets_of(Manager(VALUES))
    app = Starlette(routes=[Route("/", last_of_a)], middleware=[Middleware(with_secrets, secrets=secrets)])

    async def main() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app") as client:
            assert (await client.get("/")).text == "a"

    asyncio.run(main())
    with TestClient(app) as client:
        assert client.get("/").text == "a"
    asyncio.run(default.reset_default())


def test_a_lifespan_manager_runs_it() -> None:
    manager = Manager(VALUES)

    async def main() -> None:
        async with (
            LifespanManager(app_of(secrets_of(manager))) as life,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(life.app), base_url="http://app") as client,
        ):
            assert (await client.get("/")).text == "a"

    asyncio.run(main())
    assert (manager.opened, manager.closed) == (1, 1)


def test_a_test_client_that_runs_no_lifespan_has_a_loop_for_each_request() -> None:
    manager = Manager(VALUES)
    client = TestClient(with_secrets(Starlette(routes=[Route("/", last_of_a)]), secrets_of(manager)))
    assert [client.get("/").text for _ in range(3)] == ["a"] * 3
    assert manager.opened == 3  # as the same app: none is used on a loop that it is not of
    asyncio.run(default.reset_default())


def test_what_is_down_is_503_and_what_is_wrong_500() -> None:
    manager = Manager({"A": "canary-a"})
    websocket = WebSocketRoute("/ws", _says_over_websocket)
    app = app_of(
        secrets_of(manager, client={"hosted_keys": ["A"]}),
        routes=[websocket],
        exception_handlers={TransientError: unavailable},
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        manager.failure = down
        reply = client.get("/")
        assert (reply.status_code, reply.headers["retry-after"], reply.json()) == (
            503, "1", {"detail": "Service Unavailable"},
        )  # fmt: skip
        with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/ws") as session:
            session.receive_text()
        assert caught.value.code == 1013
        manager.failure = None
        manager.remove("A")
        reply = client.get("/")
        assert reply.status_code == 500
        assert "SecretNotFound" not in reply.text


async def _says_over_websocket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text((await websocket.state.secrets.get("A")).reveal()[-1])
    await websocket.close()


def test_several_apps_of_one_process_have_their_own() -> None:
    one, other = (app_of(secrets_of(Manager({"A": f"canary-{end}"}))) for end in "12")
    with TestClient(one) as client, TestClient(other) as another:
        assert (client.get("/").text, another.get("/").text, client.get("/").text) == ("1", "2", "1")


async def test_what_a_background_task_reads_after_the_end_is_told_so() -> None:
    secrets = secrets_of(Manager(VALUES))
    app = app_of(secrets)
    async with app.router.lifespan_context(app) as state:
        client = state["secrets"]
    with pytest.raises(ClosedError):
        await client.get("A")
    assert issubclass(ClosedError, AsyncSecretsError)


async def test_the_programs_own_client_is_used_and_left_open() -> None:
    async with client_of(Manager(VALUES)) as client:
        app = app_of(AppSecrets(client))
        async with app.router.lifespan_context(app) as state:
            assert state["secrets"] is client
        assert client.is_open
