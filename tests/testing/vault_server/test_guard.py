"""Programs may use the dev server, pages in a browser may not; and nobody fills its memory from outside."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from asyncsecrets.testing.vault_server import VaultServer
from asyncsecrets.testing.vault_server.http import UNKNOWN_BODY
from asyncsecrets.testing.vault_server.requests import KEPT_BYTES, KEPT_REQUESTS, RequestLog
from asyncsecrets.testing.vault_server.tokens import SWEEP_FROM, Token, TokenStore

from .conftest import Client

BODY = b'{"data":{"key":"canary-planted"}}'
ROUTES = [
    ("GET", "/v1/sys/health"),
    ("GET", "/v1/secret/data/a"),
    ("POST", "/v1/secret/data/a"),
    ("LIST", "/v1/secret/metadata"),
    ("OPTIONS", "/v1/secret/data/a"),
    ("POST", "/v1/auth/approle/login"),
    ("POST", "/v1/sys/seal"),
    ("GET", "/v1/sys/asyncsecrets-requests"),
    ("DELETE", "/v1/sys/asyncsecrets-faults"),
    ("GET", "/"),
]
FOREIGN = [
    "attacker.example",
    "attacker.example:{port}",
    "localhost.attacker.example:{port}",
    "127.0.0.1.attacker.example",
    "127.0.0.1@attacker.example",
    "attacker.example#localhost",
    "192.0.2.1:{port}",
    "0.0.0.0:{port}",
    "[::]:{port}",
    "[::2]",
    "[fe80::1%lo]",
    "127.0.0.1:{port}:80",
    "localhost, attacker.example",
    "",
]
LOOPBACK = ["127.0.0.1", "127.0.0.1:{port}", "127.9.8.7:1", "localhost", "LocalHost:{port}", "[::1]", "[::1]:{port}"]
PAGES: list[dict[str, str]] = [
    {"Origin": "https://attacker.example"},
    {"Origin": "http://192.0.2.1"},
    {"Origin": "null"},
    {"Origin": "http://localhost.attacker.example"},
    {"Origin": "http://localhost:1"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Origin": "http://localhost:{port}"},
    {"Origin": ""},
    {"Origin": "chrome-extension://abcdefgh"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "anything"},
    {"Referer": "https://attacker.example/page"},
    {"Referer": "http://127.0.0.1:{port}.attacker.example/"},
    {"Origin": "https://attacker.example", "Content-Type": "text/plain"},
]


async def _sent(
    server: VaultServer, target: str, headers: dict[str, str], method: str = "GET", body: bytes = b""
) -> Any:
    """One request with exactly these headers: status, headers and what it says."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    writer.write("\r\n".join(lines).format(port=server.port).encode() + body)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    head, _, said = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), said.decode()


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_foreign_host_is_refused(server: VaultServer, host: str) -> None:
    """Whoever reaches it by another name than loopback's, with the root token too; nothing happens, nothing is kept."""
    for method, target in ROUTES:
        headers = {"Host": host, "X-Vault-Token": server.root_token}
        status, _, said = await _sent(server, target, headers, method, BODY if method == "POST" else b"")
        assert status == 403, (method, target)
        assert "--hostname" in json.loads(said)["errors"][0]
        assert "attacker" not in said
    _untouched(server)


async def test_a_missing_or_second_host_is_refused(server: VaultServer) -> None:
    """Every HTTP/1.1 client sends one; a target in absolute form must name this machine as well."""
    host = f"127.0.0.1:{server.port}"
    assert (await _sent(server, "/v1/sys/health", {}))[0] in {400, 403}  # aiohttp itself may refuse it
    assert (await _sent(server, "/v1/sys/health", {"Host": host, "host": "attacker.example"}))[0] in {400, 403}
    for target in ("http://attacker.example/v1/sys/health", "http://attacker.example", "http://@/v1/sys/health"):
        assert (await _sent(server, target, {"Host": host}))[0] in {400, 403}
    assert (await _sent(server, f"http://{host}/v1/sys/health", {"Host": host}))[0] == 200


@pytest.mark.parametrize("host", LOOPBACK)
async def test_loopback_is_served(server: VaultServer, host: str) -> None:
    """By every name it has, with and without a port (which a tunnel or a container may have changed)."""
    assert (await _sent(server, "/v1/sys/health", {"Host": host}))[0] == 200


@pytest.mark.parametrize("page", PAGES, ids=str)
async def test_a_page_is_refused(server: VaultServer, page: dict[str, str]) -> None:
    """Other origins, none at all (``null``), other ports of this machine: before anything happens, without CORS."""
    for method, target in ROUTES:
        headers = {"Host": "127.0.0.1:{port}", "X-Vault-Token": server.root_token, **page}
        status, head, said = await _sent(server, target, headers, method, BODY if method == "POST" else b"")
        assert status == 403, (method, target)
        assert b"access-control" not in head
        assert "web page" in json.loads(said)["errors"][0]
    _untouched(server)


def _untouched(server: VaultServer) -> None:
    assert server.read_secret("a") is None
    assert not server.core.sealed
    assert server.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
        {"Referer": "http://127.0.0.1:{port}/v1/sys/health"},
        {"Referer": "http://127.0.0.1:{port}"},
        {"Sec-Fetch-Mode": "cors", "User-Agent": "node"},
    ],
    ids=str,
)
async def test_programs_and_the_address_bar_are_served(server: VaultServer, headers: dict[str, str]) -> None:
    """A program sends none of the headers (Node's ``fetch`` one that says nothing); somebody may look at an answer."""
    assert (await _sent(server, "/v1/sys/health", {"Host": "127.0.0.1:{port}", **headers}))[0] == 200


async def test_names_that_were_allowed() -> None:
    """For a port that a container publishes under a name; pages stay out."""
    async with VaultServer(hostnames=["Vault.test", "192.0.2.7", "[2001:db8::1]"]) as server:
        for host in ("vault.test:8200", "VAULT.TEST", "192.0.2.7:1", "[2001:db8::1]:8200", "localhost"):
            assert (await _sent(server, "/v1/sys/health", {"Host": host}))[0] == 200
        for host in ("sub.vault.test", "vault.test.example", "192.0.2.70"):
            assert (await _sent(server, "/v1/sys/health", {"Host": host}))[0] == 403
        page = {"Host": "vault.test", "Origin": "http://attacker.example"}
        assert (await _sent(server, "/v1/sys/health", page))[0] == 403


@pytest.mark.parametrize("name", ["", "*", "*.test", "http://vault.test", "vault.test:8200", "a b", "[::1]:80", "a..b"])
def test_what_is_no_hostname(name: str) -> None:
    """No wildcard, scheme or port."""
    with pytest.raises(ValueError, match="hostname"):
        VaultServer(hostnames=[name])


async def test_https_has_its_own_origin() -> None:
    """The scheme is part of an origin."""
    async with VaultServer(tls=True) as server, aiohttp.ClientSession() as session:
        for scheme, status in (("https", 200), ("http", 403)):
            headers = CIMultiDict({"Origin": f"{scheme}://127.0.0.1:{server.port}"})
            async with session.get(f"{server.url}/v1/sys/health", headers=headers, ssl=False) as answer:
                assert answer.status == status


async def test_only_bodies_that_somebody_vouches_for_are_kept(server: VaultServer, ask: Client) -> None:
    """By a living token, a login that succeeded, or a fault that the test itself put there."""
    server.call("update", "sys/auth/approle", {"type": "approle"})
    server.call("update", "auth/approle/role/app", {"bind_secret_id": True})
    role = server.call("read", "auth/approle/role/app/role-id")["data"]["role_id"]
    secret = server.call("update", "auth/approle/role/app/secret-id")["data"]["secret_id"]
    login = {"role_id": role, "secret_id": secret}
    wrong = {"role_id": role, "secret_id": "canary-wrong"}
    assert (await ask("POST", "secret/data/a", {"data": {"key": "canary-1"}}))[0] == 200
    assert (await ask("POST", "auth/approle/login", login, token="unknown"))[0] == 200
    assert (await ask("POST", "auth/approle/login", wrong, token="unknown"))[0] == 400
    assert (await ask("POST", "secret/data/a", {"data": {"key": "canary-2"}}, token="unknown"))[0] == 403
    server.faults.status(503)
    assert (await ask("POST", "auth/approle/login", wrong, token="unknown"))[0] == 503
    kept = [record.json() if record.body else None for record in server.requests]
    assert kept == [{"data": {"key": "canary-1"}}, login, None, None, wrong]


async def test_long_bodies_without_a_token(server: VaultServer, ask: Client) -> None:
    """Read past, not kept: 403 as ever where a token is needed, 413 at a login; the connection serves on."""
    long = {"data": {"key": "canary" * UNKNOWN_BODY}}
    assert await ask("POST", "secret/data/a", long, token="unknown") == (403, {"errors": ["permission denied"]})
    assert (await ask("POST", "auth/token/create", {**long, "policies": ["root"]}, token="unknown"))[0] == 403
    server.call("update", "sys/auth/approle", {"type": "approle"})
    assert (await ask("POST", "auth/approle/login", long, token="unknown"))[0] == 413
    assert (await ask("POST", "sys/asyncsecrets-faults", {"kind": "reset", "body": "x" * UNKNOWN_BODY}, token="x"))[
        0
    ] == 403
    assert server.read_secret("a") is None
    assert not server.faults.active
    assert (await ask("POST", "secret/data/a", long))[0] == 200
    assert server.read_secret("a") == long["data"]


async def test_what_strangers_send_takes_no_memory(server: VaultServer, ask: Client) -> None:
    """Long bodies, long paths, long tokens and names of headers: what is kept stays under the log's bound."""
    tracemalloc.start()
    try:
        for number in range(40):
            await ask("POST", f"secret/data/{number}", {"data": {"key": "w" * 1_000_000}}, token="unknown")
            await ask("POST", f"sys/unseal?{number}", {"key": "w" * UNKNOWN_BODY}, token="unknown")
        for number in range(700):
            await ask("GET", f"{number}" + "y" * 30_000, token=f"{number}" + "t" * 7000)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 16 * 2**20
    assert 0 < sum(record.size() for record in server.requests) <= KEPT_BYTES


def test_the_log_is_bounded_and_may_be_cleared() -> None:
    """In number and in bytes, the newest stay; a body may come after its record was dropped."""
    log = RequestLog()
    first = log.note("GET", "/v1/0", {"Host": "localhost"})
    for number in range(KEPT_REQUESTS + 10):
        log.note("GET", f"/v1/{number}", {"Host": "localhost"})
    assert (len(log), log[-1].target) == (KEPT_REQUESTS, f"/v1/{KEPT_REQUESTS + 9}")
    assert len({id(record.header_names) for record in log}) == 1
    log.clear()
    for number in range(1000):
        record = log.note("POST", f"/v1/{number}", {})
        log.keep_body(record, b"w" * 900_000)
        log.keep_body(first, b"w" * 900_000)
        assert sum(kept.size() for kept in log) <= KEPT_BYTES
        assert log[-1] is record
    assert len(log) > 2
    log.keep_body(record, b"w" * (2**20 + 1))
    assert len(record.body) == 900_000


def test_tokens_that_expired_are_not_kept() -> None:
    """Nobody asks for them again: logins that go on for days leave as many tokens as are alive; children end too."""
    store = TokenStore()
    root = store.add(Token("canary-root", "accessor", ("root",), 0.0))
    for hour in range(2 * SWEEP_FROM):
        login = store.issue(("default",), hour * 3600.0, ttl=3600, orphan=True)
        store.issue(("default",), hour * 3600.0, ttl=36000 * SWEEP_FROM, parent=login.id, orphan=False)
        assert len(store._tokens) <= SWEEP_FROM
        assert len(store._ids) <= SWEEP_FROM
    assert store.find(root.id, 1e9) is root
    assert store.find(login.id, login.created) is login


def test_a_long_line_of_children_ends_at_once() -> None:
    """However deep."""
    store = TokenStore()
    first = last = store.issue(("default",), 0.0)
    for _ in range(900):
        last = store.issue(("default",), 0.0, parent=last.id, orphan=False)
    store.revoke(first)
    assert store._tokens == {}
