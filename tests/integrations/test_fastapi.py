"""FastAPI: dependencies that are typed, overridable, seen by nobody else, and read from this app's client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient

from asyncsecrets import default
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ClosedError, ConfigError, InvalidNameError, SecretNotFoundError, TransientError
from asyncsecrets.integrations.fastapi import lifespan, readyz, secret, secrets_client, unavailable
from asyncsecrets.secret import Secret
from tests.client.support import Manager, client_of, down
from tests.integrations.support import VALUES, secrets_of

A = Annotated[str, secret("A")]


def routes() -> APIRouter:
    """One route for each way of reading."""
    router = APIRouter()

    @router.get("/text")
    async def text(value: A) -> str:
        return value[-1]

    @router.get("/sync")
    def sync(value: A) -> str:
        return value[-1]

    @router.get("/flag")
    async def flag(value: Annotated[bool, secret("FLAG", bool)]) -> bool:
        return value

    @router.get("/whole")
    async def whole(value: Annotated[Secret, secret("A", Secret)]) -> str:
        return value.name

    @router.get("/client")
    async def client(secrets: Annotated[SecretsClient, secrets_client]) -> str:
        return (await secrets.get("A")).reveal()[-1]

    @router.get("/none")
    async def none(value: Annotated[str | None, secret("NONE", default=None)]) -> bool:
        return value is None

    @router.get("/absent")
    async def absent(value: Annotated[str, secret("NONE")]) -> str:
        return value

    @router.websocket("/ws")
    async def socket(websocket: WebSocket, value: A) -> None:
        await websocket.accept()
        await websocket.send_text(value[-1])
        await websocket.close()

    return router


def app_of(manager: Manager, *, with_lifespan: bool = True, **options: Any) -> FastAPI:
    secrets = secrets_of(manager, client={"hosted_keys": ["A", "FLAG", "NONE"]})
    app = FastAPI(lifespan=lifespan(secrets) if with_lifespan else None, **options)
    app.include_router(routes())
    app.add_api_route("/readyz", readyz(secrets), include_in_schema=False)
    return app


@pytest.fixture
def manager() -> Manager:
    return Manager(VALUES | {"FLAG": " Yes\n"})


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/text", "a"),
        ("/sync", "a"),
        ("/flag", True),
        ("/whole", "A"),
        ("/client", "a"),
        ("/none", True),
    ],
)
def test_each_way_of_reading(manager, path, answer) -> None:
    with TestClient(app_of(manager)) as client:
        assert client.get(path).json() == answer


def test_a_websocket_has_them_too(manager) -> None:
    with TestClient(app_of(manager)) as client, client.websocket_connect("/ws") as session:
        assert session.receive_text() == "a"


def test_a_rotation_is_seen_by_the_next_request(manager) -> None:
    app = app_of(manager)

    @app.post("/refresh")
    async def refresh(secrets: Annotated[SecretsClient, secrets_client]) -> None:
        await secrets.refresh("A")

    with TestClient(app) as client:
        assert client.get("/text").json() == "a"
        manager.set("A", "canary-z")
        client.post("/refresh")
        assert client.get("/text").json() == "z"


def test_the_schema_shows_nothing_of_it(manager) -> None:
    schema = app_of(manager).openapi()
    assert set(schema["paths"]) == {"/text", "/sync", "/flag", "/whole", "/client", "/none", "/absent"}
    for path, methods in schema["paths"].items():
        assert "parameters" not in methods["get"], path
        assert "requestBody" not in methods["get"], path
        assert set(methods["get"]["responses"]) == {"200"}, path
    assert "components" not in schema


def test_equal_dependencies_are_overridden_by_the_frameworks_own_means(manager) -> None:
    app = app_of(manager)
    app.dependency_overrides[secret("A").dependency] = lambda: "canary-x"
    app.dependency_overrides[secrets_client.dependency] = lambda: client_of(Manager({"A": "canary-y"}))
    with TestClient(app) as client:
        assert client.get("/text").json() == "x"
        assert client.get("/sync").json() == "x"
        assert client.get("/whole").json() == "A"  # which is another dependency
        app.dependency_overrides.clear()
        assert client.get("/text").json() == "a"
    assert secret("A").dependency is secret("A").dependency
    assert secret("A").dependency is not secret("B").dependency
    assert secret("A", default=1).dependency is not secret("A", default=True).dependency


def test_an_error_says_nothing_to_who_asks(manager) -> None:
    app = app_of(manager, exception_handlers={TransientError: unavailable})
    with TestClient(app, raise_server_exceptions=False) as client:
        reply = client.get("/absent")
        assert (reply.status_code, reply.text) == (500, "Internal Server Error")
        manager.failure = down
        reply = client.get("/text")
        assert (reply.status_code, reply.json()) == (503, {"detail": "Service Unavailable"})
    manager.failure = None
    with TestClient(app) as client, pytest.raises(SecretNotFoundError):
        client.get("/absent")


@pytest.mark.parametrize(
    ("arguments", "error"), [(("A", int), ConfigError), (("",), InvalidNameError), ((5,), InvalidNameError)]
)
def test_what_no_dependency_can_be_is_told_where_it_stands(arguments, error) -> None:
    with pytest.raises(error):
        secret(*arguments)


def test_without_a_lifespan_the_apps_own_is_opened_all_the_same(manager) -> None:
    app = app_of(manager)

    async def main() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app") as client:
            assert [(await client.get("/text")).json() for _ in range(3)] == ["a"] * 3
            assert (await client.get("/readyz")).status_code == 200

    asyncio.run(main())
    asyncio.run(main())
    assert manager.opened == 2
    asyncio.run(default.reset_default())


async def test_an_app_that_names_no_secrets_reads_those_of_the_program(manager) -> None:
    app = app_of(manager, with_lifespan=False)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app") as client:
        with pytest.raises(ClosedError, match="not open"):
            await client.get("/text")
        async with client_of(Manager({"A": "canary-p"})):
            assert (await client.get("/text")).json() == "p"


@pytest.mark.parametrize("routers", [1, 300])
def test_a_mounted_app_reads_its_own_and_no_other(manager, routers) -> None:
    outer = app_of(manager)
    for _ in range(routers):
        outer.include_router(APIRouter())
    inner, plain = app_of(Manager({"A": "canary-i"})), app_of(Manager({}), with_lifespan=False)
    outer.mount("/inner", inner)
    outer.mount("/plain", plain)
    with TestClient(outer) as client:
        assert [client.get(path).json() for path in ("/inner/text", "/text", "/plain/text")] == ["i", "a", "a"]


def test_a_routers_lifespan_is_merged(manager) -> None:
    router = APIRouter(lifespan=lifespan(secrets_of(manager)))
    router.include_router(routes())
    app = FastAPI()
    app.include_router(router)
    with TestClient(app) as client:
        assert client.get("/text").json() == "a"
    assert (manager.opened, manager.closed) == (1, 1)


def test_a_wrapper_that_loses_the_state_loses_no_secret(manager) -> None:
    """A lifespan around ours that yields nothing: what we yielded is not in the request's state."""
    inner = lifespan(secrets_of(manager))

    @asynccontextmanager
    async def wrapper(app: FastAPI):
        async with inner(app):
            yield

    app = FastAPI(lifespan=wrapper)
    app.include_router(routes())
    with TestClient(app) as client:
        assert client.get("/text").json() == "a"


def test_other_dependencies_may_depend_on_them(manager) -> None:
    def url(password: A) -> str:
        return f"postgres://app:{password}@db"

    app = app_of(manager)

    @app.get("/url")
    async def length(value: str = Depends(url)) -> int:
        return len(value)

    with TestClient(app) as client:
        assert client.get("/url").json() == len("postgres://app:canary-a@db")
