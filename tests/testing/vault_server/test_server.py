"""The server's life: start, stop, kill, restart; what it shows, and what it never shows."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request

import aiohttp
import pytest

from asyncsecrets.testing.vault_server import VaultServer

from .conftest import Client
from .replay import Clock

PATCH = "application/merge-patch+json"


async def test_it_starts_with_a_mount_and_a_root_token(server: VaultServer, ask: Client) -> None:
    """``secret/`` is KV v2, as on a real server in dev mode."""
    assert server.url.startswith("http://127.0.0.1:")
    assert server.ca_file is None
    assert (await ask("POST", "secret/data/a", {"data": {"key": "canary"}}))[0] == 200
    assert (await ask("GET", "secret/data/a"))[1]["data"]["data"] == {"key": "canary"}


async def test_it_says_that_it_is_a_fake(server: VaultServer, ask: Client) -> None:
    """In its header and in its version."""
    _, headers, body = await ask.full("GET", "sys/health")
    assert headers["Server"] == "asyncsecrets-fake-vault"
    assert "fake" in body["version"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_it_listens_on_loopback_only(host: str) -> None:
    """Everything else is refused before anything is opened."""
    with pytest.raises(ValueError, match="loopback"):
        VaultServer(host=host)


async def test_kill_and_restart_keep_port_and_data(server: VaultServer, ask: Client) -> None:
    """Connections are reset, nothing listens, and afterwards everything is there: secrets, tokens, the address."""
    token = server.create_token(ttl="1h")
    server.write_secret("a", {"key": "canary"})
    assert (await ask("GET", "secret/data/a"))[0] == 200
    url = server.url
    server.kill()
    assert not server.running
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask("GET", "secret/data/a")
    await server.restart()
    assert server.url == url
    assert (await ask("GET", "secret/data/a", token=token))[1]["data"]["data"] == {"key": "canary"}


async def test_kill_resets_a_request_under_way(server: VaultServer, ask: Client) -> None:
    """The client sees a broken connection, not an answer."""
    server.faults.hang()
    waiting = asyncio.create_task(ask("GET", "secret/data/a"))
    while not server.requests:
        await asyncio.sleep(0)
    server.kill()
    with pytest.raises(aiohttp.ClientConnectionError):
        await waiting


async def test_closing_leaves_no_task_behind() -> None:
    """Also with an idle keep-alive connection and a client that hangs."""
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session:
        async with VaultServer() as server:
            ask = Client(server, session)
            await ask("GET", "sys/health")
            server.faults.hang(times=1)
            waiting = asyncio.create_task(ask("GET", "sys/health"))
            while len(server.requests) < 2:
                await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientConnectionError):
            await waiting
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


async def test_two_servers_know_nothing_of_one_another() -> None:
    """Each has its own port, token and data."""
    async with VaultServer() as one, VaultServer() as two:
        one.write_secret("a", {"key": "canary"})
        assert two.read_secret("a") is None
        assert one.url != two.url
        assert one.root_token != two.root_token


async def test_requests_are_counted_and_shown_without_secrets(server: VaultServer, ask: Client) -> None:
    """The log has method, raw path, host and names of headers; tokens and bodies are there but never in a repr."""
    token = server.create_token(ttl="1h")
    await ask("POST", "secret/data/a%2Fb?x=1", {"data": {"key": "canary-body"}}, token=token, X_Vault_Request="true")
    await ask("GET", "secret/data/none")
    record = server.requests[0]
    assert (record.method, record.target, record.path) == (
        "POST",
        "/v1/secret/data/a%2Fb?x=1",
        "/v1/secret/data/a%2Fb",
    )
    assert {"x-vault-token", "x-vault-request"} <= record.header_names
    assert record.host == server.url.removeprefix("http://")
    assert (record.status, record.token, record.json()) == (200, token, {"data": {"key": "canary-body"}})
    assert server.count() == 2
    assert server.count("GET") == 1
    assert server.count("POST", "/v1/secret/data/") == 1
    for shown in (repr(server.requests), repr(server), repr(server.core.tokens.find(token, 0.0))):
        assert token not in shown
        assert "canary" not in shown
        assert server.root_token not in shown


async def test_namespaces_are_made_with_a_mount_each() -> None:
    """Nested ones with their parents; the header and the path add up."""
    async with VaultServer(namespaces=["team/a"]) as server, aiohttp.ClientSession() as session:
        ask = Client(server, session)
        server.write_secret("x", {"key": "canary"}, namespace="team/a")
        assert (await ask("GET", "team/a/secret/data/x"))[0] == 200
        assert (await ask("GET", "secret/data/x", X_Vault_Namespace="team/a"))[0] == 200
        assert (await ask("GET", "a/secret/data/x", X_Vault_Namespace="team"))[0] == 200
        assert (await ask("GET", "secret/data/x"))[0] == 404
        assert server.read_secret("x", namespace="team") is None


async def test_a_standby_redirects_or_knows_no_active_node(server: VaultServer) -> None:
    """307 to the active node with the path as Go spells it, or 500; about itself it answers."""
    async with aiohttp.ClientSession() as session:
        async with VaultServer(standby_for=server.url) as standby:
            ask = Client(standby, session)
            status, headers, _ = await ask.full("GET", "secret/data/a%2Fb?version=1")
            assert (status, headers["Location"]) == (307, server.url + "/v1/secret/data/a/b?version=1")
            _, headers, _ = await ask.full("GET", "secret/data/a%21%20%3A%40%C3%A4'%3F?x=%3A")
            assert headers["Location"] == server.url + "/v1/secret/data/a%21%20:@%C3%A4%27%3F?x=%3A"
            assert (await ask("GET", "sys/health"))[0] == 429
            assert (await ask("GET", "sys/health?standbyok=true"))[0] == 200
            assert (await ask("GET", "sys/leader"))[1]["leader_address"] == server.url
        async with VaultServer(standby_for="") as lonely:
            status, body = await Client(lonely, session)("GET", "secret/data/a")
            assert (status, body) == (500, {"errors": ["local node not active but active cluster node not found"]})


async def test_a_refused_call_from_python_is_an_error_without_values(server: VaultServer) -> None:
    """The set-up helpers fail loudly."""
    with pytest.raises(ValueError, match="400 check-and-set") as caught:
        server.write_secret("a", {"key": "canary"}, cas=7)
    assert "canary" not in str(caught.value)


async def test_secrets_are_versioned_from_python_too(server: VaultServer) -> None:
    """Write, read a version, delete."""
    assert [server.write_secret("a", {"n": 1}), server.write_secret("a", {"n": 2}, cas=1)] == [1, 2]
    assert server.read_secret("a", version=1) == {"n": 1}
    server.delete_secret("a")
    assert server.read_secret("a") is None


def test_it_runs_in_a_thread_for_clients_that_block() -> None:
    """And is gone afterwards; the data stay for the next time."""
    server = VaultServer()
    for _ in range(2):
        with server.run_in_thread() as running, urllib.request.urlopen(f"{running.url}/v1/sys/health") as answer:
            assert json.load(answer)["initialized"] is True
        assert not server.running


def test_a_port_that_is_taken_is_an_error() -> None:
    """Also in a thread, and without waiting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = VaultServer(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="could not listen"), server.run_in_thread():
            pass


async def test_tls_is_verified_against_its_own_authority() -> None:
    """With `ca_file` the server is trusted, without it not."""
    async with VaultServer(tls=True) as server, aiohttp.ClientSession() as session:
        trusting = ssl.create_default_context(cafile=server.ca_file)
        async with session.get(f"{server.url}/v1/sys/health", ssl=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{server.url}/v1/sys/health")


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (b"GET\r\n\r\n", b"HTTP/1.0 400"),
        (b"GET / HTTP/1.1\r\nA\r\n\r\n", b"HTTP/1.0 400"),
        (b"canary / FTP/1.1\r\n\r\n", b"HTTP/1.0 400"),
        (b"\x16\x03\x01\x02\x00", b""),
    ],
)
async def test_what_is_no_http_is_refused_quietly(
    server: VaultServer, ask: Client, data: bytes, start: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """No line of it reaches a log, and the server goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    if not start:
        writer.write_eof()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(start)
    assert b"canary" not in answer
    assert (await ask("GET", "sys/health"))[0] == 200
    assert [record for record in caplog.records if record.name != "asyncio"] == []


def test_the_verb_list_is_understood_beside_a_fast_parser(clock: Clock) -> None:
    """The choice of parser is the connection's: aiohttp's own stays what it was."""
    from aiohttp import web_protocol
    from aiohttp.http_parser import HttpRequestParser

    with VaultServer(clock=clock).run_in_thread() as server:
        server.write_secret("a", {"key": "canary"})
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("LIST", "/v1/secret/metadata", headers={"X-Vault-Token": server.root_token})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["data"]) == (200, {"keys": ["a"]})
        connection.close()
    assert web_protocol.HttpRequestParser is HttpRequestParser


@pytest.fixture
def process():
    """The dev server as a process, its token on stdin; the process and what it said when it was ready."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "asyncsecrets.testing.vault_server", "--token-stdin", "--ready-fd", str(writer)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[writer], text=True
    ) as running:
        os.close(writer)
        running.stdin.write("canary-root\n")
        running.stdin.flush()
        with os.fdopen(reader) as ready:
            told = json.loads(ready.readline())
        yield running, told
        running.kill()


def _health(url: str) -> int:
    with urllib.request.urlopen(f"{url}/v1/sys/health") as answer:
        return answer.status


def test_the_process_serves_until_it_is_killed(process) -> None:
    """Its token is neither in what it says nor among its arguments."""
    running, told = process
    assert told["pid"] == running.pid
    assert "root_token" not in told
    headers = {"X-Vault-Token": "canary-root"}
    with urllib.request.urlopen(urllib.request.Request(f"{told['url']}/v1/sys/mounts", headers=headers)) as answer:
        assert answer.status == 200
    assert not any("canary" in str(argument) for argument in running.args)
    running.send_signal(signal.SIGKILL)
    running.wait(5)
    with pytest.raises(OSError):
        _health(told["url"])


def test_the_process_ends_well_on_sigterm(process) -> None:
    """With status 0, and with nothing on stderr but the notice that it is a fake."""
    running, told = process
    assert _health(told["url"]) == 200
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=5)
    assert running.returncode == 0
    assert errors.startswith("asyncsecrets dev server: a fake")
    assert len(errors.splitlines()) == 1


def test_the_process_refuses_a_public_address() -> None:
    """In one line, without a traceback."""
    command = [sys.executable, "-m", "asyncsecrets.testing.vault_server", "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "loopback only" in done.stderr
    assert "Traceback" not in done.stderr


async def test_escaping(server: VaultServer, ask: Client) -> None:
    """JSON is written as Go's encoder does it: three characters of HTML and two line ends as escapes of six bytes."""
    value = 'canary <b>&amp;</b> \u2028 \u2029 \\ " ä'
    server.write_secret("escaped", {"key": value})
    headers = {"X-Vault-Token": server.root_token}
    async with ask.session.get(f"{server.url}/v1/secret/data/escaped", headers=headers) as answer:
        body = await answer.read()
    escaped = r'"canary \u003cb\u003e\u0026amp;\u003c/b\u003e \u2028 \u2029 \\ \" ä"'
    assert escaped.encode() in body
    assert json.loads(body)["data"]["data"]["key"] == value


async def test_odd_settings_of_a_secret(ask: Client) -> None:
    """Negative numbers and durations beyond what nanoseconds count are taken or refused as the real server does."""
    assert (await ask("POST", "secret/metadata/a", {"max_versions": -1}))[0] == 204
    for version in (1, 2):
        assert (await ask("POST", "secret/data/a", {"data": {}}))[1]["data"]["version"] == version
    assert (await ask("GET", "secret/metadata/a"))[1]["data"]["max_versions"] == 2**32 - 1
    status, refused = await ask("PATCH", "secret/metadata/a", {"max_versions": -1}, Content_Type=PATCH)
    assert (status, "of type uint32" in refused["errors"][0]) == (500, True)
    assert (await ask("PATCH", "secret/metadata/none", {"cas_required": "maybe"}, Content_Type=PATCH))[0] == 400
    for value, problem in (
        ("-1s", "cannot provide negative value '-1'"),
        (9999999999, "multiplication of durations resulted in overflow, one operand may be too large"),
        ("9999999h", 'time: invalid duration "9999999h"'),
        ("2562047h47m17s", 'time: invalid duration "2562047h47m17s"'),
    ):
        error = f'error converting input for field "delete_version_after": {problem}'
        body = {"delete_version_after": value}
        assert await ask("POST", "secret/metadata/a", body) == (400, {"errors": [error]})
        prefixed = f"Field validation failed: {error}"
        assert await ask("PATCH", "secret/metadata/a", body, Content_Type=PATCH) == (400, {"errors": [prefixed]})
    assert (await ask("POST", "secret/metadata/a", {"delete_version_after": "2562047h47m16s"}))[0] == 204
    assert (await ask("POST", "secret/config", {"delete_version_after": "-1s"}))[0] == 204


async def test_parameters_that_a_path_does_not_know(ask: Client) -> None:
    """An answer of KV v2 warns of them, and then an empty list is no 404."""
    ignored = "Endpoint ignored these unrecognized parameters: "
    for method, path, body, names in (
        ("GET", "secret/config?foo=1", None, "[foo]"),
        ("GET", "secret/metadata/none?list=true&limit=3&x=y&b=c", None, "[b x]"),
        ("POST", "secret/data/a?ignored=1", {"data": {}, "versions": [1]}, "[versions]"),
        ("GET", "secret/subkeys/a?foo=1", None, "[foo]"),
    ):
        status, answer = await ask(method, path, body)
        assert (status, answer["warnings"]) == (200, [ignored + names])
    assert (await ask("GET", "secret/data/a?version=1"))[1]["warnings"] is None
    assert (await ask("GET", "secret/data/none?foo=1"))[0] == 404


async def test_null_for_data(ask: Client) -> None:
    """A version may hold null, which is neither an empty object nor something to patch."""
    await ask("POST", "secret/data/a", {"data": None})
    assert (await ask("GET", "secret/data/a"))[1]["data"]["data"] is None
    assert (await ask("GET", "secret/subkeys/a"))[1]["data"]["subkeys"] is None
    assert (await ask("PATCH", "secret/data/a", {"data": {"x": "y"}}, Content_Type=PATCH))[0] == 500
