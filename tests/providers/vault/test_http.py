"""One request over the wire: redirects, bodies, deadlines, headers, and what the token never does."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import traceback
from datetime import UTC, datetime

import aiohttp
import pytest

from asyncsecrets.errors import (
    ClosedError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.providers.vault.http import Transport, _seconds
from asyncsecrets.testing.vault_server import VaultServer

from .raw import RawServer, answer, document, mount, secret

TOKEN = "canary-token-7f3k"


def elsewhere(location):
    """Redirect every request for a secret to a location; answer the question about the mount."""

    def respond(status):
        def reply(request):
            if "/sys/internal/" in request.target:
                return answer(body=mount())
            return answer(status, b"canary-redirect", Location=location.replace("{target}", request.target))

        return reply

    return respond


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", ["get", "put", "delete", "list"])
@pytest.mark.parametrize(
    "location",
    [
        "{foreign}{target}",
        "//127.0.0.1:{port}{target}",
        "http://user:pw@127.0.0.1:{port}{target}",
        "http://localhost:{port}{target}",
        "{foreign}/v1/secret/data/other",
        "/v1/secret/data/other",
        "",
    ],
)
async def test_redirect_is_not_followed(provider_at, status, call, location):
    """Whatever a redirect says, a listener that is not of the cluster gets no byte of token or body.

    One such as a standby gives, to the same place at another address, passes once the cluster has settled. The standby
    may have forwarded a write before.
    """
    async with RawServer() as foreign, RawServer() as server:
        location = location.replace("{foreign}", foreign.url).replace("{port}", str(foreign.port))
        server.respond = elsewhere(location)(status)
        async with provider_at(server.url, token=TOKEN) as provider:
            calls = {
                "get": lambda: provider.get("name"),
                "put": lambda: provider.put("name", "canary-payload"),
                "delete": lambda: provider.delete("name"),
                "list": provider.list,
            }
            standby = status == 307 and location.endswith(f":{foreign.port}{{target}}") and "//user" not in location
            refusal = UnavailableError if standby and location.startswith("http") else InsecureTransportError
            with pytest.raises(refusal, match="cluster_addrs") as caught:
                await calls[call]()
        assert type(caught.value) is refusal
        assert foreign.received == b""
        assert "canary" not in str(caught.value)
        assert caught.value.outcome_unknown is (refusal is UnavailableError and call in {"put", "delete"})


async def test_a_replica_that_lags(provider_at):
    """A 412 is answered by one more attempt that has the active node do it, reads, writes and logins alike."""
    async with VaultServer(root_token="canary-root") as server:
        server.write_secret("name", {"key": "canary-1"})
        server.faults.behind()
        async with provider_at(server.url) as provider:
            assert (await provider.get("name")).version == "1"
            assert (await provider.put("name", "canary-2")).version == "2"
            assert server.count("POST", "/v1/secret/data/name") == 2
            assert server.count("GET", "/v1/secret/data/name") == 2


async def test_a_replica_that_stays_behind(provider_at):
    """A second 412 is UnavailableError, of a write too: nothing was done."""
    async with RawServer(lambda request: answer(412, {"errors": []})) as server, provider_at(server.url) as provider:
        provider._mount.verified = True
        for call in (provider.get("name"), provider.put("name", "canary")):
            with pytest.raises(UnavailableError, match="412") as caught:
                await call
            assert not caught.value.outcome_unknown
        assert [request.method for request in server.requests] == ["GET", "GET", "POST", "POST"]
        marks = [request.headers.get("x-vault-inconsistent") for request in server.requests]
        assert marks == [None, "forward-active-node"] * 2


async def test_read_after_write_on_replicas(provider_at):
    """What a write answered is sent with what comes after it; a read's index, or one that is none, is not."""
    index = ["index-of-a-read"]

    def respond(request):
        return answer(body=secret(), X_Vault_Index=index[0]) if request.method == "GET" else write(index[0])

    def write(index):
        return answer(body=document({"version": 1, "created_time": ""}), X_Vault_Index=index)

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        provider._mount.verified = True
        await provider.get("name")
        for index[0] in ("v1:canary-index", "x" * 5000, ""):
            await provider.put("name", "canary")
            await provider.get("name")
    sent = [
        (request.headers.get("x-vault-index"), request.headers.get("x-vault-inconsistent"))
        for request in server.requests
    ]
    assert sent == [(None, None)] * 2 + [("v1:canary-index", "forward-active-node")] * 5


@pytest.mark.parametrize("status", [300, 307, 400, 412, 500])
async def test_an_index_of_a_refusal_is_none(provider_at, status):
    """Nothing was written that a read had to wait for."""

    def respond(request):
        return answer(status, {"errors": []}, X_Vault_Index="v1:canary-index")

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        provider._mount.verified = True
        with pytest.raises((ProviderError, ConfigError)):
            await provider.put("name", "canary")
        assert not provider._transport.has_index


async def test_an_index_of_another_cluster_is_forgotten(provider_at):
    """An index that even the active node refuses is not sent for ever: a restored cluster starts anew."""

    def respond(request):
        if request.method == "POST":
            return answer(body=document({"version": 1, "created_time": ""}), X_Vault_Index="canary-old-cluster")
        return answer(412, {"errors": []}) if "x-vault-index" in request.headers else answer(body=secret())

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        provider._mount.verified = True
        await provider.put("name", "canary")
        with pytest.raises(UnavailableError, match="412"):
            await provider.get("name")
        assert (await provider.get("name")).version == "1"


async def unreachable(provider):
    """The error of a server that cannot be reached, without its trace."""
    with pytest.raises((UnavailableError, InsecureTransportError)) as caught:
        await provider.get("name")
    assert TOKEN not in str(caught.value)
    return str(caught.value)


async def test_no_connection_says_where_and_why(provider_at):
    """Host, port and the kind of failure: refused, a server that says nothing, no TLS."""
    async with RawServer() as gone:
        port = gone.port
    for host in ("127.0.0.1", "localhost"):
        async with provider_at(f"http://{host}:{port}", token=TOKEN) as provider:
            assert f"no connection to {host}:{port}: it was refused" in await unreachable(provider)
    async with VaultServer() as plain, provider_at(plain.url.replace("http:", "https:"), token=TOKEN) as provider:
        where = plain.url.removeprefix("http://")
        assert f"TLS to {where} failed (no TLS is spoken there)" in await unreachable(provider)
    async with (
        RawServer(lambda request: hang) as silent,
        provider_at(silent.url, token=TOKEN, attempt_timeout=0.05) as provider,
    ):
        assert f"127.0.0.1:{silent.port} did not answer in time" in await unreachable(provider)


async def hang(writer):
    """No answer."""
    await asyncio.Event().wait()


async def test_the_node_that_fails_is_named(provider_at):
    """After a redirect it is the other node that cannot be reached, and its address that the error gives."""
    async with RawServer() as gone:
        pass
    async with (
        RawServer(lambda request: answer(307, b"", Location=gone.url + request.target)) as standby,
        provider_at(standby.url, token=TOKEN, cluster_addrs=(gone.url,)) as provider,
    ):
        assert f"no connection to 127.0.0.1:{gone.port}: it was refused" in await unreachable(provider)


@pytest.mark.parametrize("status", [307, 308])
async def test_standby_redirects_to_a_node_of_the_cluster(provider_at, status):
    """The one redirect that is followed: 307 or 308, a listed origin, the very same path and query."""
    async with RawServer() as active, RawServer() as standby:
        standby.respond = lambda request: answer(status, b"", Location=active.url + request.target)
        async with provider_at(standby.url, token=TOKEN, cluster_addrs=(active.url,), kv_version=2) as provider:
            await provider.get("name", "1")
    assert [request.target for request in active.requests] == ["/v1/secret/data/name?version=1"]
    assert active.requests[0].headers["x-vault-token"] == TOKEN


@pytest.mark.parametrize(
    "location",
    [
        "{active}/v1/secret/data/other",
        "{active}{target}?x=1",
        "{active}/{target}",
        "{active}.evil.test{target}",
        "{active}@evil{target}",
        "{active}{target}#x",
        "{active}/v1/secret/data/nam%65%2Fother",
        "{active}/v1/secret/data%3F/name",
    ],
)
async def test_redirect_within_the_cluster_keeps_the_path(provider_at, location):
    """A listed origin is not enough: another path, or an origin that only begins alike, is refused."""
    async with RawServer() as active, RawServer() as standby:
        standby.respond = elsewhere(location.replace("{active}", active.url))(307)
        async with provider_at(standby.url, token=TOKEN, cluster_addrs=(active.url,)) as provider:
            with pytest.raises(InsecureTransportError):
                await provider.get("name")
        assert active.received == b""


async def test_standby_that_encodes_otherwise(provider_at):
    """A standby spells the path as its own encoder does; every name there is follows it, in our spelling."""
    names = ["a b", "a!b", "a(b)*'c", "ä", "team:db", "user@host", "a=b", "a,b", "a+b", "a&b$c", "x/y~z"]
    async with VaultServer(root_token=TOKEN) as active, VaultServer(standby_for=active.url) as standby:
        async with provider_at(standby.url, token=TOKEN, cluster_addrs=(active.url,)) as provider:
            for name in names:
                await provider.put(name, f"canary-{name}")
                assert (await provider.get(name, "1")).field("key").equals(f"canary-{name}")
            assert await provider.list() == sorted(names)
        assert [request.target for request in active.requests] == [request.target for request in standby.requests]


async def test_redirect_loop(provider_at):
    """Two nodes that send us to each other get one request each."""
    async with RawServer() as one, RawServer() as two:
        one.respond = lambda request: answer(307, b"", Location=two.url + request.target)
        two.respond = lambda request: answer(307, b"", Location=one.url + request.target)
        async with provider_at(one.url, cluster_addrs=(two.url,)) as provider:
            with pytest.raises(UnavailableError, match="redirects itself"):
                await provider.get("name")
        assert (len(one.requests), len(two.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("addr", "more", "match"),
    [
        ("http://vault.test:8200", {}, "plain http"),
        ("http://127.0.0.1.evil.test", {}, "plain http"),
        ("https://vault.test", {"cluster_addrs": ("http://127.0.0.1:8200",)}, "cluster_addrs"),
        ("http://127.0.0.1:1", {"cluster_addrs": ("http://10.0.0.1:1",)}, "cluster_addrs"),
        ("https://vault.test", {"allow_insecure_http": True, "cluster_addrs": ("http://b.test",)}, "cluster_addrs"),
    ],
)
def test_clear_text_needs_a_setting(addr, more, match):
    """A token is not sent in clear over a network unless somebody said so, and never by a redirect."""
    with pytest.raises(ConfigError, match=match):
        Transport(VaultSettings(addr=addr, token=TOKEN, **more))


def test_clear_text_with_the_setting():
    """`allow_insecure_http` is that somebody."""
    nodes = ("http://b.test", "https://c.test")
    assert Transport(
        VaultSettings(addr="http://vault.test", token=TOKEN, allow_insecure_http=True, cluster_addrs=nodes)
    )


async def test_headers(provider_at):
    """Each request says it is one (so that an agent may tell it from a forged one), and asks for no compression."""
    respond = lambda request: answer(body=secret(), Set_Cookie="session=canary-cookie")  # noqa: E731
    async with RawServer(respond) as server, contextlib.AsyncExitStack() as stack:
        by_name = f"http://localhost:{server.port}"  # a cookie jar that keeps cookies does so for names only
        provider = await stack.enter_async_context(provider_at(by_name, token=TOKEN))
        await provider.get("name")
        await provider.get("name")
    headers = server.requests[1].headers
    assert headers["x-vault-request"] == "true"
    assert headers["accept-encoding"] == "identity"
    assert headers["x-vault-token"] == TOKEN
    assert "cookie" not in headers
    assert "x-vault-namespace" not in headers


async def test_plain_http_is_not_steered(provider_at, monkeypatch, tmp_path):
    """A provider that was handed no environment follows none; .netrc is never read."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with RawServer() as proxy, RawServer() as server:
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        async with provider_at(server.url) as provider:
            await provider.get("name")
        assert proxy.received == b""
        assert "authorization" not in server.requests[0].headers


def chunked(*chunks):
    """A chunked answer, without a length to believe."""

    async def reply(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        return b"0\r\n\r\n"

    return lambda request: reply


async def test_chunked_body(provider_at):
    """A body without Content-Length is read all the same."""
    body = answer(body=secret()).partition(b"\r\n\r\n")[2]
    async with RawServer(chunked(body[:20], body[20:])) as server, provider_at(server.url) as provider:
        assert (await provider.get("name")).field("key").equals("canary-value")


async def test_oversize_body_is_not_read(provider_at):
    """Reading stops at 8 MiB, with and without a Content-Length; the next request works."""
    megabyte = b"x" * 1024 * 1024
    sent = []

    async def endless(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            writer.write(b"100000\r\n" + megabyte + b"\r\n")
            await writer.drain()
            sent.append(1)

    async with RawServer(lambda request: endless) as server, provider_at(server.url) as provider:
        with pytest.raises(MalformedResponseError, match="is longer than 8,388,608 bytes"):
            await provider.get("name")
        server.respond = lambda request: answer(body=megabyte * 9)
        with pytest.raises(MalformedResponseError, match="is longer than 8,388,608 bytes"):
            await provider.get("name")
        server.respond = lambda request: answer(body=secret())
        await provider.get("name")
    assert len(sent) < 50


@pytest.mark.parametrize("padding", [0, 50_000_000])
async def test_gzip_bomb_stays_packed(provider_at, padding):
    """A compressed answer that nobody asked for is not unpacked, not even one that holds a secret."""
    packed = gzip.compress(json.dumps(secret()).encode() + b" " * padding)
    respond = lambda request: answer(200, packed, Content_Encoding="gzip")  # noqa: E731
    async with RawServer(respond) as server, provider_at(server.url) as provider:
        with pytest.raises(MalformedResponseError):
            await provider.get("name")


async def slow_head(writer):
    """One header byte now and then."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def slow_body(writer):
    """One body byte now and then."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await asyncio.sleep(0.05)


async def silence(writer):
    """Nothing."""
    await asyncio.sleep(60)


@pytest.mark.parametrize("reply", [slow_head, slow_body, silence])
async def test_an_attempt_has_a_deadline(provider_at, reply):
    """However slowly bytes come, an attempt ends after attempt_timeout; a write is in doubt then."""
    loop = asyncio.get_running_loop()
    async with RawServer(lambda request: reply) as server, provider_at(server.url, attempt_timeout=0.2) as provider:
        provider._mount.verified = True
        start = loop.time()
        with pytest.raises(UnavailableError) as read:
            await provider.get("name")
        with pytest.raises(UnavailableError) as write:
            await provider.put("name", "canary-payload")
        assert loop.time() - start < 20.0  # the slowest of them has only begun then
    assert (read.value.outcome_unknown, write.value.outcome_unknown) == (False, True)


@pytest.mark.parametrize(
    "reply",
    [
        b"canary nonsense\r\n\r\n",
        b"HTTP/1.1 999999 canary\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nCanary-Header " + b"x" * 100_000 + b"\r\n\r\n",
        answer(200, b""),
        answer(204, b""),
        answer(200, b"<html>canary</html>"),
        answer(200, b"\xff\xfe"),
        answer(200, b"[" * 100_000),
        answer(200, {"data": None}),
        answer(200, {"data": {"data": "canary-text", "metadata": {"version": 1}}}),
        answer(200, {"data": {"data": {"key": "canary"}, "metadata": {"version": "1"}}}),
        answer(200, {"data": {"data": {"key": "canary"}, "metadata": {"version": True}}}),
        answer(200, {"data": {"data": {"key": "canary"}}}),
        answer(200, b'{"data": {"data": {"n": 1e999}, "metadata": {"version": 1}}}'),
        answer(200, b'{"data": {"data": {"n": NaN}, "metadata": {"version": 1}}}'),
        answer(200, b'{"data": {"data": {"key": "\\ud800 canary"}, "metadata": {"version": 1}}}'),
        answer(200, b'{"data": {"data": {"n": 1' + b"0" * 5000 + b'}, "metadata": {"version": 1}}}'),
    ],
)
async def test_nonsense(provider_at, reply, caplog):
    """An answer that makes no sense is MalformedResponseError, and not a byte of it is in the error."""
    caplog.set_level(logging.DEBUG)
    async with RawServer(lambda request: reply) as server, provider_at(server.url) as provider:
        with pytest.raises(MalformedResponseError) as caught:
            await provider.get("name")
    error = caught.value
    assert "canary" not in repr((error.args, vars(error), error.__cause__, error.__context__)).lower()
    assert error.__cause__ is error.__context__ is None


async def test_truncated_body(provider_at):
    """A body shorter than promised is a broken connection."""
    cut = answer(body=secret())[:-20]

    async def reply(writer):
        writer.write(cut)

    async with RawServer(lambda request: reply) as server, provider_at(server.url) as provider:
        with pytest.raises(UnavailableError):
            await provider.get("name")


async def test_broken_connections(provider_at):
    """A refused connection surely did not write; one that ends before the answer may have."""
    async with RawServer(lambda request: None) as server, provider_at(server.url, kv_version=2) as provider:
        provider._mount.verified = True
        with pytest.raises(UnavailableError) as caught:
            await provider.put("name", "canary-payload")
        assert caught.value.outcome_unknown
    async with provider_at("http://127.0.0.1:1", kv_version=2) as provider:
        provider._mount.verified = True
        with pytest.raises(UnavailableError) as caught:
            await provider.put("name", "canary-payload")
        assert not caught.value.outcome_unknown


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        ("Fri, 02 Jan 2026 03:05:00 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("1e9", None),
        ("\u0667", None),
        ("9" * 400, None),
    ],
)
def test_retry_after(header, seconds):
    """Retry-After is a number of seconds or an HTTP date; a date in the past is now, nonsense is nothing."""
    assert _seconds(header, lambda: datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == seconds


async def test_rate_limited(provider_at):
    """The error of a 429 says how long the server wants us to wait."""
    async with (
        RawServer(lambda request: answer(429, b"", Retry_After="7")) as server,
        provider_at(server.url) as provider,
    ):
        with pytest.raises(RateLimitedError) as caught:
            await provider.get("name")
    assert caught.value.retry_after == 7.0


async def test_close_in_the_middle(provider_at):
    """A call that a close overtakes ends with ClosedError or as unavailable, at once."""
    async with RawServer(lambda request: silence) as server, provider_at(server.url) as provider:
        call = asyncio.ensure_future(provider.get("name"))
        while not server.requests:
            await asyncio.sleep(0)
        await provider.aclose()
        with pytest.raises(ClosedError):
            await asyncio.wait_for(call, 1)


async def test_closed_while_waiting_for_a_connection(provider_at):
    """What has its turn after the close is told so, and not what aiohttp says of its session then."""
    async with RawServer() as server, provider_at(server.url, max_connections=1) as provider:
        slots = provider._transport._slots
        await slots.acquire()
        call = asyncio.ensure_future(provider.get("name"))
        while not slots._waiters:
            await asyncio.sleep(0)
        await provider._transport.aclose()
        slots.release()
        with pytest.raises(ClosedError):
            await asyncio.wait_for(call, 1)


async def test_queue_for_a_connection(provider_at, monkeypatch):
    """Waiting for one of max_connections is not part of an attempt's time: nothing was sent yet."""
    at_once, most, begun = [0], [0], []

    async def busy(writer):
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        assert len(begun) <= answered[0] + 2
        await asyncio.sleep(0.01)
        at_once[0] -= 1
        answered[0] += 1
        return answer(body=secret())

    answered = [0]
    async with RawServer(lambda request: busy) as server, provider_at(server.url, max_connections=2) as provider:
        limit = provider._transport._deadline.limit
        monkeypatch.setattr(provider._transport._deadline, "limit", lambda: (begun.append(1), limit())[1])
        await asyncio.gather(*(provider.get(f"name{number}") for number in range(12)))
    assert (most, len(begun)) == ([2], 12)


async def test_a_fault_of_ours_is_not_taken_for_a_close(provider_at, monkeypatch):
    """aiohttp says RuntimeError when its session is closed; while it is open, that is something else."""
    async with RawServer() as server, provider_at(server.url, token=TOKEN) as provider:
        await provider.get("name")

        def request(*_, **__):
            raise RuntimeError("canary")

        with monkeypatch.context() as patched:
            patched.setattr(aiohttp.ClientSession, "request", request)
            with pytest.raises(RuntimeError):
                await provider.get("name")
        await provider.get("name")


async def test_reopen(provider_at):
    """Closed is closed; open again works, as often as one likes."""
    async with RawServer() as server:
        provider = VaultProvider(VaultSettings(addr=server.url, token=TOKEN))
        for _ in range(3):
            with pytest.raises(ClosedError):
                await provider.get("name")
            await provider.open()
            await provider.get("name")
            await provider.aclose()
            await provider.aclose()


async def test_debug_logs_hold_nothing(provider_at, caplog, capfd):
    """At DEBUG, nothing that any library says about our requests holds a token or a value."""
    caplog.set_level(logging.DEBUG)
    statuses = iter([200, 403, 404, 500, 429, 307, 400])

    def respond(request):
        status = next(statuses)
        return answer(status, secret() if status == 200 else {"errors": ["canary-error"]}, Location="http://canary")

    async with RawServer(respond) as server, provider_at(server.url, token=TOKEN) as provider:
        provider._mount.verified = True
        await provider.get("name")
        for _ in range(6):
            with pytest.raises((ProviderError, ConfigError)):
                await provider.put("name", "canary-payload")
    spoken = caplog.text + repr([vars(record) for record in caplog.records]) + "".join(capfd.readouterr())
    assert "canary" not in spoken


async def test_no_frame_shows_a_token(provider_at):
    """A traceback printed with its locals, as error trackers do, shows neither token nor body."""
    replies = iter(
        [answer(500, b"canary-body"), b"canary\r\n\r\n", None, answer(307, b"", Location="http://elsewhere")]
    )
    async with RawServer(lambda request: next(replies)) as server, provider_at(server.url, token=TOKEN) as provider:
        for _ in range(3):
            with pytest.raises(ProviderError) as caught:
                await provider.get("name")
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            assert "canary" not in "".join(line for line in shown.format() if "asyncsecrets/providers" in line)


async def test_a_delete_is_sent_once():
    """A connection that breaks after the delete was applied: nobody sends it again over what others wrote meanwhile."""
    async with VaultServer() as server:
        server.write_secret("db", {"key": "canary-1"})
        provider = VaultProvider.from_settings(
            {"kv_version": "2"}, {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}
        )
        await provider.open()
        assert (await provider.get("db")).field("key").equals("canary-1")  # the connection is kept
        await provider.delete("other")
        server.requests.clear()
        server.faults.reset("after", method="DELETE")
        with pytest.raises(UnavailableError) as caught:
            await provider.delete("db")
        assert caught.value.outcome_unknown
        assert server.count("DELETE", "/v1/secret/data/db") == 1
        await provider.aclose()


@pytest.mark.parametrize("operation", ["delete", "delete_versions", "destroy"])
async def test_a_page_is_no_confirmation(operation):
    """A proxy that answers 200 with a page of its own has not deleted anything."""
    async with VaultServer() as server:
        server.write_secret("db", {"key": "canary-1"})
        provider = VaultProvider.from_settings(
            {"kv_version": "2"}, {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}
        )
        await provider.open()
        await provider.list()
        server.faults.garbage(b"<html>welcome</html>", prefix="/v1/secret")
        arguments = (["1"],) if operation == "delete_versions" else ()
        with pytest.raises(MalformedResponseError) as caught:
            await getattr(provider, operation)("db", *arguments)
        assert caught.value.outcome_unknown
        await provider.aclose()


def frames_of(error):
    """The text of every local of every frame that the error's trace goes through, this file's own left out."""
    frame, texts = error.__traceback__, []
    while frame is not None:
        if frame.tb_frame.f_code.co_filename != __file__:
            texts.append(
                repr(frame.tb_frame.f_locals) + str(getattr(frame.tb_frame.f_locals.get("answer"), "body", ""))
            )
        frame = frame.tb_next
    return "".join(texts)


@pytest.mark.parametrize(
    "body",
    [
        document({"data": {"key": "canary-hidden"}, "metadata": {}}),
        document({"data": "canary-hidden", "metadata": {"version": 1}}),
        document({"data": {"key": "canary-hidden"}, "metadata": "none"}),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
async def test_nonsense_is_in_no_frame(provider_at, body, version):
    """Tools that print the locals of a trace find nothing of an answer that makes no sense in it."""
    if version == 1:
        body = {"data": ["canary-hidden"]}

    def respond(request):
        return answer(body=mount(str(version)) if "/sys/internal/" in request.target else body)

    async with RawServer(respond) as server, provider_at(server.url, kv_version=version) as provider:
        calls = [lambda: provider.get("name")]
        calls += [lambda: provider.patch("name", {"a": "b"}), lambda: provider.put("name", "x")] if version == 2 else []
        for call in calls:
            try:
                await call()
            except MalformedResponseError as error:
                assert "canary-hidden" not in frames_of(error)  # noqa: PT017 - its trace is what is looked at
                assert error.__context__ is error.__cause__ is None  # noqa: PT017
