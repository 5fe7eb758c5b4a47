"""At DEBUG, with every login and every fault: nothing secret in any log, output or error, and no byte of a token at any
host but the server's.

What is secret is asked of the server: every token it ever issued or was sent, and what came in the bodies of logins.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
import traceback
from typing import get_args

import aiohttp
import pytest
import trustme

from asyncsecrets import SecretsClient
from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.vault_server.faults import FaultKind
from tests.canaries import _shown

from . import logins

CANARY = "canary-from-the-server"
QUICK = RetryPolicy(attempts=2, deadline=2.0, backoff=(0.001, 0.002))


async def wrap(server, folder):
    """A new secret id in the file, wrapped where it was made: an envelope from elsewhere is not opened."""
    headers = {"X-Vault-Token": server.root_token, "X-Vault-Wrap-TTL": "1h"}
    context = ssl.create_default_context(cafile=server.ca_file)
    url = f"{server.url}/v1/auth/approle/role/app/secret-id"
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json={}, ssl=context) as answer:
        logins.write(folder / "wrapped", (await answer.json())["wrap_info"]["token"])


async def wrapped(server, folder):
    """A secret id in a file, behind a wrapping token."""
    settings = await logins.approle(server, folder)
    await wrap(server, folder)
    del settings["approle_secret_id"]
    return settings | {"approle_secret_id_file": str(folder / "wrapped"), "approle_secret_id_wrapped": True}


LOGINS = [wrapped if login is logins.wrapped else login for login in logins.LOGINS]
LOGIN_PATHS = {logins.token: "/v1/", logins.token_file: "/v1/", wrapped: "/v1/sys/wrapping/"}
STATUSES = [400, 401, 403, 404, 405, 412, 413, 418, 429, 472, 473, 500, 502, 503]


class Foreign:
    """Listeners that are not the server's, plain and with TLS that our clients would trust: they note every byte."""

    def __init__(self, context):
        self._context = context
        self.connections = 0
        self.received = b""

    async def __aenter__(self):
        self._servers = [
            await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=context) for context in (None, self._context)
        ]
        plain, secure = (server.sockets[0].getsockname()[1] for server in self._servers)
        self.urls = [f"https://127.0.0.1:{secure}", f"https://localhost:{secure}", f"http://127.0.0.1:{plain}"]
        return self

    async def __aexit__(self, *_):
        for server in self._servers:
            server.close()

    async def _take(self, reader, writer):
        self.connections += 1
        self.received += await reader.read(65536)
        writer.close()


class Watch(logging.Handler):
    """Keeps all that any formatter could show of a record."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.text = []

    def emit(self, record):
        self.text += _shown(record)


@pytest.fixture
def watch():
    """Everything that is logged."""
    handler = Watch()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def faults_of(server, foreign):
    """Every fault that the dev server has, by name: call it to put it in force."""
    faults, policy = server.faults, f"1 error occurred:\n\t* permission denied {CANARY}\n\n"
    commands = {
        "latency": lambda **where: faults.latency(0.01, **where),
        "drip": lambda **where: faults.drip(0.0, **where),
        "truncate": faults.truncate,
        "oversize": lambda **where: faults.oversize(3 * 1024 * 1024, **where),
        "body, html": lambda **where: faults.garbage(f"<html>{CANARY}</html>".encode(), **where),
        "body, json": lambda **where: faults.garbage(
            json.dumps({"data": {"data": CANARY}, "auth": CANARY, "errors": CANARY}).encode(), **where
        ),
        "body, strange token": lambda **where: faults.garbage(
            json.dumps({"auth": {"client_token": f"{CANARY} \n"}}).encode(), **where
        ),
        "body, no text": lambda **where: faults.garbage(b'{"data": {"data": {"key": "' + CANARY.encode(), **where),
        "body, bytes": lambda **where: faults.garbage(b"\xff\xfe" + CANARY.encode(), **where),
        "status, token refused": lambda **where: faults.status(403, "permission denied", **where),
        "status, policy": lambda **where: faults.status(403, policy, **where),
    }
    for moment in ("before", "after"):
        commands[f"reset, {moment}"] = lambda moment=moment, **where: faults.reset(when=moment, **where)
        commands[f"hang, {moment}"] = lambda moment=moment, **where: faults.hang(when=moment, times=2, **where)
    for status in STATUSES:
        commands[f"status, {status}"] = lambda status=status, **where: faults.status(
            status, CANARY, headers={"Retry-After": "0", "X-Canary": CANARY}, **where
        )
    for status in (301, 302, 303, 307, 308):
        for number, url in enumerate(foreign.urls if status == 307 else foreign.urls[:1]):
            location = {"Location": f"{url}/v1/secret/data/name"}
            commands[f"status, redirect {status} to {number}"] = lambda status=status, location=location, **where: (
                faults.status(status, CANARY, headers=location, **where)
            )
    return commands


def secrets_of(server):
    """Every text that may be nowhere but on the way to the server."""
    found = {"canary", *server.core.tokens._tokens}
    for record in server.requests:
        found.add(record.token or "")
        if "/login" in record.target:
            body = record.json() if record.body else {}
            found |= {str(body.get(member) or "") for member in ("secret_id", "jwt")}
    return {text for text in found if len(text) > 5}


def shown(error):
    """All that may be seen of an error, the local variables of its traceback included."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return [str(error), repr(error), repr(vars(error)), *lines]


class Visit:
    """A provider and a client, used in every way; collects the errors."""

    def __init__(self, server, settings, errors, timeout=0.1):
        self.errors = errors
        given = {"addr": server.url, "ca_cert": server.ca_file, "attempt_timeout": timeout, "revoke_on_close": True}
        self.provider = VaultProvider(VaultSettings(**given, **settings), token_file_interval=0.0)

    async def then(self):
        """What happens after ``before``, where that takes time."""

    async def use(self, before=None):
        """Log in, let ``before`` happen, and use everything."""
        client = SecretsClient.from_provider(self.provider, retry=QUICK, environ={}, negative_ttl=0.0)
        async with client:
            if before is not None:
                await client.get("name")
                before()
                await self.then()
            name = "name" if before is None else "other"
            calls = [
                client.get(name),
                client.get(name, version="1"),
                client.put("written", "canary-payload"),
                client.list(),
                client.versions("name"),
                client.delete("gone"),
            ]
            self._note(await asyncio.gather(*calls, return_exceptions=True))
            p = self.provider
            more = [
                p.patch("name", {"more": "canary-payload"}),
                p.restore("name", ["1"]),
                p.write_metadata("name", custom={"owner": "canary-payload"}),
            ]
            self._note(await asyncio.gather(*more, return_exceptions=True), ours=False)
            await self.provider.tokens._upkeep.join()

    def _note(self, results, *, ours=True):
        for result in results:
            if isinstance(result, BaseException):
                assert isinstance(result, AsyncSecretsError), repr(result)
                # A provider's own frames hold headers and bodies; a client's errors come without them.
                self.errors += shown(result) if ours else shown(result)[:3]


@pytest.mark.parametrize("moment", ["login", "use"])
@pytest.mark.parametrize("login", LOGINS, ids=lambda login: login.__name__)
async def test_nothing_leaks(login, moment, watch, tmp_path, monkeypatch, capfd):
    """Each fault while logging in, and each fault once logged in, with everything a provider and a client can do."""
    errors = []
    async with logins.serve() as server, Foreign(server._authority.server_context()) as foreign:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, foreign.urls[2])
        commands = faults_of(server, foreign)
        assert set(get_args(FaultKind)) == {name.partition(",")[0] for name in commands}
        commands["sealed"] = lambda **where: server.seal()
        for number, url in enumerate(foreign.urls):
            commands[f"standby for {number}"] = lambda url=url, **where: setattr(server.core, "standby_for", url)
        settings = await login(server, tmp_path)
        for name in ("name", "other", "gone"):
            server.write_secret(name, {"key": "canary-value"})
        calm = []
        await Visit(server, settings, calm, timeout=10.0).use()
        assert calm == []
        for command in commands.values():
            if login is wrapped:
                await wrap(server, tmp_path)
            visit = Visit(server, settings, errors)
            if moment == "login":
                command(prefix=LOGIN_PATHS.get(login, "/v1/auth/"))
                await visit.use()
            else:
                await visit.use(before=lambda command=command: command(prefix="/v1/"))
            server.faults.clear()
            server.unseal()
            server.core.standby_for = None
        secret = secrets_of(server)
    assert (foreign.connections, foreign.received) == (0, b"")
    printed = capfd.readouterr()
    everything = "\n".join([*watch.text, *errors, printed.out, printed.err])
    assert len(errors) > 3 * len(commands)
    leaks = [text for text in secret if text in everything]
    assert not leaks, [line for line in everything.splitlines() if any(text in line for text in leaks)][:3]


@pytest.mark.parametrize("login", LOGINS, ids=lambda login: login.__name__)
async def test_an_impostor_gets_nothing(login, tmp_path):
    """Somebody else listens where the server was: TLS comes first, and with it nothing that is secret."""
    errors = []
    async with logins.serve() as server:
        settings = await login(server, tmp_path)
        server.write_secret("name", {"key": "canary-value"})
        server.write_secret("other", {"key": "canary-value"})
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        impostors = []

        async def take(reader, writer):
            impostors.append(await reader.read(65536))
            writer.close()

        async with contextlib.AsyncExitStack() as stack:
            visit = Visit(server, settings, errors, timeout=10.0)
            visit.then = lambda: usurp(server, take, context, stack)
            await visit.use(before=server.kill)
        assert impostors == []
    assert errors
    assert any("InsecureTransportError" in error for error in errors)


async def usurp(server, take, context, stack):
    """Listen where the server was."""
    usurper = await asyncio.start_server(take, "127.0.0.1", server.port, ssl=context)
    stack.callback(usurper.close)
