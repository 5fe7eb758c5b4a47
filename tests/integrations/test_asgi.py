"""with_secrets: what a server, the app within and a probe see of it, whoever of them knows lifespans."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asyncsecrets import default, get_secret
from asyncsecrets.integrations.asgi import ASGIApp, readyz, with_secrets
from tests.client.support import Manager, client_of, down
from tests.integrations.support import VALUES, secrets_of


class Server:
    """The server's side of one lifespan."""

    def __init__(self, app: ASGIApp, *, has_state: bool = True) -> None:
        self.app = app
        self.scope: dict[str, Any] = {"type": "lifespan", **({"state": {}} if has_state else {})}
        self.heard: list[str] = []
        self.messages: list[Any] = []
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._told = asyncio.Event()
        self.task: asyncio.Task[None]

    async def start(self) -> None:
        self.task = asyncio.create_task(self._run())
        self._to_app.put_nowait({"type": "lifespan.startup"})
        await self._next()

    async def stop(self) -> None:
        self._to_app.put_nowait({"type": "lifespan.shutdown"})
        await self.task

    async def _run(self) -> None:
        try:
            await self.app(self.scope, self._to_app.get, self._send)
        finally:
            self._told.set()

    async def _send(self, message: Any) -> None:
        self.heard.append(message["type"].removeprefix("lifespan."))
        self.messages.append(message)
        self._told.set()

    async def _next(self) -> None:
        await self._told.wait()
        self._told.clear()

    async def get(self, path: str = "/", app: ASGIApp | None = None, **scope: Any) -> tuple[int, str]:
        """Ask over HTTP; every request has a copy of the lifespan's state, if there is one."""
        sent: list[Any] = []
        state = {"state": dict(self.scope["state"])} if "state" in self.scope else {}

        async def send(message: Any) -> None:
            sent.append(message)

        await (app or self.app)({"type": "http", "path": path, **state, **scope}, _nothing, send)
        return sent[0]["status"], sent[1]["body"].decode()


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def _reply(send: Callable[[Any], Awaitable[None]], body: str, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


async def says_a(scope: Any, receive: Any, send: Any) -> None:
    """An app that knows nothing of lifespans, as Django, and answers with the end of a secret."""
    if scope["type"] != "http":
        raise ValueError(f"only HTTP, not {scope['type']}")
    secret = await scope["state"]["secrets"].get("A")
    await _reply(send, secret.reveal()[-1])


class Living:
    """An app with a lifespan of its own."""

    def __init__(self, fails: str = "", *, silently: bool = False) -> None:
        self.lived: list[str] = []
        self.fails = fails
        self.silently = silently

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await _reply(send, "lives")
            return
        for what in ("startup", "shutdown"):
            message = await receive()
            assert message["type"] == f"lifespan.{what}"
            await get_secret("A")  # the secrets are there, at the start and at the end
            self.lived.append(what)
            if self.fails == what:
                if not self.silently:
                    await send({"type": f"lifespan.{what}.failed", "message": "no"})
                raise RuntimeError(f"no {what}")
            await send({"type": f"lifespan.{what}.complete"})


@pytest.mark.parametrize("has_state", [True, False])
async def test_an_app_that_knows_no_lifespan_has_one(has_state) -> None:
    manager = Manager(VALUES)
    server = Server(with_secrets(says_a, secrets_of(manager, required=["A"])), has_state=has_state)
    await server.start()
    assert server.heard == ["startup.complete"]
    assert [await server.get() for _ in range(3)] == [(200, "a")] * 3
    await server.stop()
    assert server.heard == ["startup.complete", "shutdown.complete"]
    assert (manager.opened, manager.closed, len(manager.calls)) == (1, 1, 1)


async def test_an_app_with_a_lifespan_has_its_own_within() -> None:
    manager, app = Manager(VALUES), Living()
    server = Server(with_secrets(app, secrets_of(manager)))
    await server.start()
    assert await server.get() == (200, "lives")
    await server.stop()
    assert app.lived == ["startup", "shutdown"]
    assert server.heard == ["startup.complete", "shutdown.complete"]
    assert (manager.opened, manager.closed) == (1, 1)


@pytest.mark.parametrize("silently", [True, False])
@pytest.mark.parametrize("fails", ["startup", "shutdown"])
async def test_an_app_that_fails_is_told_to_the_server_after_the_secrets_are_closed(fails, silently) -> None:
    manager = Manager(VALUES)
    server = Server(with_secrets(Living(fails, silently=silently), secrets_of(manager)))
    closed: list[int] = []
    send = server._send

    async def spy(message: Any) -> None:
        closed.append(manager.closed)
        await send(message)

    server._send = spy  # type: ignore[method-assign]
    await server.start()
    with pytest.raises(RuntimeError, match=f"no {fails}"):
        await (server.stop() if fails == "shutdown" else server.task)
    assert server.heard[-1] == f"{fails}.failed"
    assert closed[-1] == manager.closed == 1
    assert "no" in server.messages[-1]["message"]


async def test_a_start_without_what_is_required_fails_and_says_why() -> None:
    manager = Manager({})
    app = Living()
    client = {"hosted_keys": ["A", "B"]}
    server = Server(with_secrets(app, secrets_of(manager, required=["A", "B"], client=client)))
    await server.start()
    await server.task
    assert server.heard == ["startup.failed"]
    assert "A: SecretNotFoundError" in server.messages[0]["message"]
    assert "B: SecretNotFoundError" in server.messages[0]["message"]
    assert app.lived == []
    assert manager.closed == 1


@pytest.mark.parametrize("reads", [True, False])
async def test_an_app_that_returns_at_once_is_answered_for(reads) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if reads:
            await receive()

    server = Server(with_secrets(app, secrets_of(Manager(VALUES))))
    await server.start()
    assert server.heard == ["startup.complete"]
    assert not server.task.done()
    await server.stop()
    assert server.heard == ["startup.complete", "shutdown.complete"]


async def test_a_lifespan_that_is_cancelled_closes_all() -> None:
    for app in (says_a, Living()):
        manager = Manager(VALUES)
        server = Server(with_secrets(app, secrets_of(manager)))
        await server.start()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert manager.closed == 1
        assert default._open == ()


def test_a_server_without_lifespans_has_them_opened_by_the_first_request() -> None:
    manager = Manager(VALUES)

    async def serve() -> None:
        server = Server(with_secrets(says_a, secrets_of(manager, required=["A"])), has_state=False)
        assert await asyncio.gather(*(server.get() for _ in range(5))) == [(200, "a")] * 5
        assert await get_secret("A") == "canary-a"

    asyncio.run(serve())
    asyncio.run(serve())
    assert (manager.opened, len(manager.calls)) == (2, 2)
    asyncio.run(default.reset_default())


async def test_a_mounted_app_has_its_own_and_the_outer_one_its_own_after_that() -> None:
    inner = with_secrets(says_a, secrets_of(Manager({"A": "canary-inner"})))
    seen: list[str] = []

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError("only HTTP")
        secrets = scope["state"]["secrets"]
        await inner(scope, receive, send)
        assert scope["state"]["secrets"] is secrets
        seen.append((await secrets.get("A")).reveal())

    server = Server(with_secrets(outer, secrets_of(Manager({"A": "canary-outer"}))))
    await server.start()
    assert await server.get() == (200, "r")
    await server.stop()
    assert seen == ["canary-outer"]
    await default.reset_default()


async def test_readyz_tells_without_reaching_the_app() -> None:
    manager = Manager(VALUES)
    secrets = secrets_of(manager, required=["A"])
    server = Server(with_secrets(says_a, secrets, readyz="/readyz"))
    await server.start()
    status, body = await server.get("/readyz")
    assert status == 200
    assert json.loads(body) == {"ready": True, "status": "fresh", "missing": {}, "stale": [], "failing_sources": []}
    assert (await server.get("/readyz", readyz(secrets)))[0] == 200
    await server.stop()
    with pytest.raises(ValueError, match="over HTTP"):
        await readyz(secrets)({"type": "lifespan"}, _nothing, _nothing)  # type: ignore[arg-type]


def test_readyz_opens_what_no_lifespan_does_and_tells_why_it_cannot() -> None:
    async def serve() -> None:
        manager = Manager(VALUES)
        manager.failure = down
        server = Server(with_secrets(says_a, secrets_of(manager, required=["A"]), readyz="/readyz"), has_state=False)
        status, body = await server.get("/readyz")
        assert status == 503
        assert json.loads(body)["missing"] == {"A": "UnavailableError"}
        manager.failure = None
        assert (await server.get("/readyz"))[0] == 200
        assert await server.get() == (200, "a")

    asyncio.run(serve())
    asyncio.run(default.reset_default())


async def test_the_programs_own_client_stays_the_default_of_others() -> None:
    async with client_of(Manager({"A": "canary-own"})):
        server = Server(with_secrets(Living(), secrets_of(Manager(VALUES))), has_state=False)
        await server.get()
        assert await get_secret("A") == "canary-own"


async def test_an_app_that_ends_without_a_word():
    """It took the server's shutdown and returned: the server is told all the same, once what is open is closed."""

    async def taciturn(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()

    manager = Manager(VALUES)
    server = Server(with_secrets(taciturn, secrets_of(manager)))
    await server.start()
    async with asyncio.timeout(10):
        await server.stop()
    assert server.heard == ["startup.complete", "shutdown.complete"]
    assert default.opened() is None
