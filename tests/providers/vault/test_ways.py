"""The ways to a Vault server, over real sockets: through proxies and sockets of this machine, behind agents."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import socket
import ssl
import zlib
from unittest.mock import AsyncMock

import pytest
import trustme

from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
)
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.sending import followed
from tests.providers.tunnel import READY, Tunnel, refusal, told_of_no_way

from .raw import RawServer, answer, document, mount, secret

HOST = "vault.corp.test"
TOKEN = "canary-token"


@pytest.fixture(scope="module")
def authority():
    """A CA of its own."""
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path):
    """Its certificate in a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def serving(authority, *names):
    """A server's context with a certificate for `names`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
async def vault(authority):
    """A server that nobody can resolve, and only a proxy can reach."""
    async with RawServer(ssl=serving(authority, HOST, "localhost", "127.0.0.1", "10.66.0.88")) as server:
        yield server


@contextlib.asynccontextmanager
async def reading(environ=(), addr=f"https://{HOST}:8200", **settings):
    """A provider made of settings and an environment, as a configuration makes one."""
    given = {"kv_version": "2", "token": TOKEN, "connect_timeout": "20", "attempt_timeout": "20", **settings}
    provider = VaultProvider.from_settings({"addr": addr, **given}, dict(environ))
    await provider.open()
    provider._mount.verified = True  # a write is the first that is asked
    try:
        yield provider
    finally:
        await provider.aclose()


async def refused(kind, environ, match, **settings):
    """What a read and a write of a provider made like this are told."""
    async with reading(environ, **settings) as provider:
        return await told_of_no_way(provider, kind, match)


@pytest.mark.parametrize(
    ("variable", "spelling"),
    [
        ("HTTPS_PROXY", "{url}"),
        ("https_proxy", "http://me:canary%40pass@{address}/"),
        ("ALL_PROXY", "{address}"),
        ("all_proxy", "//{address}"),
        ("HCP_VAULT_PROXY", "me:canary%40pass@{address}"),
        ("VAULT_PROXY_ADDR", " {url} "),
        ("VAULT_HTTP_PROXY", "{url}"),
    ],
)
async def test_followed(vault, trusted, variable, spelling):
    """Each variable that names a proxy, in each spelling; the proxy hears where to, and none of what is said there."""
    user = "me:canary@pass" if "me:" in spelling else None
    async with Tunnel(vault.port, user=user) as proxy:
        environ = {variable: spelling.format(url=proxy.url, address=proxy.address)}
        async with reading(environ, ca_cert=trusted) as provider:
            for _ in range(2):
                assert (await provider.get("db")).field("key").equals("canary-value")
    assert proxy.targets == [f"{HOST}:8200"]
    assert vault.requests[1].headers["x-vault-token"] == TOKEN
    assert vault.requests[1].headers["host"] == f"{HOST}:8200"
    assert "proxy-authorization" not in vault.requests[1].headers
    assert b"vault-" not in proxy.heads[0].lower()
    assert b"canary" not in proxy.heads[0] + proxy.carried


async def test_the_setting(vault, trusted):
    """It comes before every variable, whatever NO_PROXY says, as VAULT_PROXY_ADDR does; `none` is no proxy at all."""
    async with Tunnel(vault.port) as proxy, Tunnel(vault.port) as other:
        environ = {"HTTPS_PROXY": other.url, "VAULT_PROXY_ADDR": other.url, "NO_PROXY": "*"}
        async with reading(environ, ca_cert=trusted, proxy=proxy.url) as provider:
            await provider.get("db")
        assert (len(proxy.heads), len(other.heads)) == (1, 0)
        async with reading({**environ, "VAULT_HTTP_PROXY": proxy.url}, ca_cert=trusted) as provider:
            await provider.get("db")
        assert (len(proxy.heads), len(other.heads)) == (1, 1)
        for settings, more in (({"proxy": "none"}, {}), ({}, {"VAULT_PROXY_ADDR": " None "})):
            told = await refused(UnavailableError, {**environ, **more}, "its name cannot be resolved", **settings)
            assert "proxy" not in told
        assert (len(proxy.heads), len(other.heads)) == (1, 1)


def test_the_setting_does_not_show_itself():
    """A proxy's address may hold a password."""
    settings = VaultSettings(
        addr="https://v", token=TOKEN, proxy="http://me:canary@p", environ={"https_proxy": "canary"}
    )
    assert "canary" not in repr(settings)
    assert settings.ways() == {"https_proxy": "canary"}
    assert VaultSettings(addr="https://v", token=TOKEN, environ={"AWS_SECRET_ACCESS_KEY": "canary"}).ways() == {}


@pytest.mark.parametrize(
    ("no_proxy", "proxied"),
    [("corp.test", False), (f"x, .{HOST}:PORT", False), (f"{HOST}:443", True), ("10.0.0.0/8", True), ("", True)],
)
async def test_no_proxy(vault, trusted, resolving, no_proxy, proxied):
    """Who is named in NO_PROXY is asked directly, here by a name that leads to this machine."""
    resolving("127.0.0.1")
    async with Tunnel(vault.port) as proxy:
        environ = {"HTTPS_PROXY": proxy.url, "NO_PROXY": no_proxy.replace("PORT", str(vault.port))}
        async with reading(environ, f"https://{HOST}:{vault.port}", ca_cert=trusted) as provider:
            await provider.get("db")
    assert bool(proxy.heads) == proxied


async def test_loopback_needs_none(vault, trusted):
    """What is on this machine is asked directly, whatever is set, by https and in plain http."""
    async with Tunnel(vault.port) as proxy, RawServer() as plain:
        names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "VAULT_PROXY_ADDR")
        environ = dict.fromkeys(names, proxy.url)
        for addr in (f"https://localhost:{vault.port}", f"https://127.0.0.1:{vault.port}", plain.url):
            async with reading(environ, addr, ca_cert=trusted, proxy=proxy.url) as provider:
                await provider.get("db")
    assert proxy.heads == []


async def test_plain_http_goes_through_none(resolving, monkeypatch):
    """Of plain http, where it is allowed at all, a proxy would hear the token."""
    async with Tunnel() as proxy, RawServer() as server:
        environ = {"HTTPS_PROXY": proxy.url, "HTTP_PROXY": proxy.url, "VAULT_PROXY_ADDR": proxy.url}
        resolving("127.0.0.1")
        addr = f"http://{HOST}:{server.port}"
        async with reading(environ, addr, proxy=proxy.url, allow_insecure_http="true") as provider:
            await provider.get("db")
    assert (len(proxy.heads), len(server.requests)) == (0, 1)


async def test_plain_http_beside_https(resolving):
    """A node in plain http goes through no proxy either where another one is https."""
    async with Tunnel(answer=refusal(503)) as proxy, RawServer() as server:
        resolving("127.0.0.1")
        settings = {"allow_insecure_http": "true", "cluster_addrs": [f"https://{HOST}:8200"]}
        async with reading({"HTTPS_PROXY": proxy.url}, f"http://{HOST}:{server.port}", **settings) as provider:
            await provider.get("db")
    assert (len(proxy.heads), len(server.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("answered", "kind", "match"),
    [
        (refusal(407), ConfigError, r"the proxy http://127.*\(HTTPS_PROXY\) wants another user and password .HTTP 407"),
        (refusal(403), ConfigError, rf"refuses to connect to {HOST}:8200 .HTTP 403.*NO_PROXY"),
        (refusal(405), ConfigError, r"refuses to connect to .*HTTP 405"),
        (refusal(302, "Location: https://login.canary.test"), ConfigError, r"refuses to connect to .*HTTP 302"),
        (refusal(502), UnavailableError, rf"cannot connect to {HOST}:8200 .HTTP 502"),
        (refusal(503), UnavailableError, r"cannot connect to .*HTTP 503"),
        (refusal(429), UnavailableError, r"cannot connect to .*HTTP 429"),
        (None, UnavailableError, r"the proxy http://127.* hung up"),
        (b"SSH-2.0-canary\r\n\r\n", UnavailableError, r"does not answer as an http proxy"),
        ("", UnavailableError, r"gave no connection to .* in time"),
    ],
    ids=["407", "403", "405", "302", "502", "503", "429", "hangs up", "garbage", "mute"],
)
async def test_a_proxy_that_refuses(answered, kind, match):
    """It is named, with where its name comes from and without its password, and Vault is not blamed."""
    async with Tunnel(answer=answered) as proxy:
        environ = {"HTTPS_PROXY": f"http://me:canary@{proxy.address}"}
        told = await refused(kind, environ, match, connect_timeout="20" if answered != "" else "0.1")
    assert proxy.address in told
    assert "addr" not in told.replace("address", "")


async def test_a_mute_proxy_and_a_short_attempt():
    """Also where an attempt is over before a connection has to be there, it is the proxy that was mute."""
    async with Tunnel(answer="") as proxy, reading({"HTTPS_PROXY": proxy.url}) as provider:
        connector = provider._transport._session.connector
        assert connector.patience == 18.0  # of 20
        connector.patience = 0.1
        with pytest.raises(UnavailableError, match=r"the proxy http.* gave no connection"):
            await provider.get("db")


async def test_a_proxy_that_wants_a_password(vault, trusted):
    """One that was given none says so; one that was given the right one lets through."""
    async with Tunnel(vault.port, user="me:canary-p") as proxy:
        await refused(ConfigError, {"HTTPS_PROXY": proxy.url}, "wants a user and password")
        async with reading({"HTTPS_PROXY": f"me:canary-p@{proxy.address}"}, ca_cert=trusted) as provider:
            await provider.get("db")
        assert proxy.targets[-1] == f"{HOST}:8200"
        assert vault.requests != []


async def test_a_proxy_that_is_not_there():
    """Nobody listens, or its name means nothing: it is the proxy's name that is told, and waiting may help."""
    await refused(UnavailableError, {"HTTPS_PROXY": "http://127.0.0.1:1"}, "proxy http://127.0.0.1:1 .*was refused")
    await refused(
        UnavailableError, {"HTTPS_PROXY": "proxy.invalid:3128"}, ": the proxy http://proxy.invalid:3128 .*: its name"
    )


@pytest.mark.parametrize("named", ["socks5://127.0.0.1:1080", "http://me:canary@pro xy"])
async def test_a_proxy_that_is_none_of_ours(named):
    """It concerns who asks Vault, and not who only opens a client."""
    await refused(ConfigError, {"HTTPS_PROXY": named}, r": HTTPS_PROXY ")


async def test_a_tunnel_that_ends_early(vault):
    """It was promised, and then ended: nothing was sent, and who it was to is told."""
    async with Tunnel(vault.port, hangs_up_after=True) as proxy:
        told = await refused(UnavailableError, {"HTTPS_PROXY": proxy.url}, rf"no connection to {HOST}:8200 through")
    assert proxy.address in told


async def test_a_proxy_that_opens_tls(vault, trusted):
    """One that answers in the server's place, by a CA of its own, is not believed; the error says whose it may be."""
    async with RawServer(ssl=serving(trustme.CA(), HOST)) as eavesdropper, Tunnel(eavesdropper.port) as proxy:
        told = await refused(InsecureTransportError, {"HTTPS_PROXY": proxy.url}, "CA is not trusted", ca_cert=trusted)
    assert f"does the proxy {proxy.url} (HTTPS_PROXY) open TLS" in told
    assert eavesdropper.requests == []


async def test_the_name_of_the_server_is_checked(authority, trusted):
    """Through a tunnel as without one; a dot at its end is no part of it."""
    async with RawServer(ssl=serving(authority, HOST)) as server, Tunnel(server.port) as proxy:
        environ = {"HTTPS_PROXY": proxy.url}
        async with reading(environ, f"https://{HOST}.:8200", ca_cert=trusted) as provider:
            assert (await provider.get("db")).field("key").equals("canary-value")
        async with reading(environ, "https://10.66.0.1:8200", ca_cert=trusted, tls_server_name=HOST) as provider:
            assert (await provider.get("db")).field("key").equals("canary-value")
        await refused(InsecureTransportError, environ, "another host", addr="https://other.test", ca_cert=trusted)


@pytest.mark.parametrize("known", [True, False])
async def test_an_https_proxy(vault, authority, trusted, known):
    """TLS within TLS; the outer one is checked as well, and who is not who it says is told nothing."""
    issuer = authority if known else trustme.CA()
    async with Tunnel(vault.port, ssl=serving(issuer, "127.0.0.1")) as proxy:
        environ = {"HTTPS_PROXY": f"https://me:canary@{proxy.address}"}
        if known:
            async with reading(environ, ca_cert=trusted) as provider:
                await provider.get("db")
            assert proxy.targets == [f"{HOST}:8200"]
        else:
            told = await refused(
                InsecureTransportError, environ, "TLS to the proxy https.*CA is not trusted", ca_cert=trusted
            )
            assert HOST not in told
            assert proxy.heads == []


async def test_each_node_has_its_way(vault, trusted):
    """One node through the proxy, the other, which is on this machine, without it."""
    async with Tunnel(answer=refusal(503)) as proxy:
        near = f"https://127.0.0.1:{vault.port}"
        async with reading({"HTTPS_PROXY": proxy.url}, ca_cert=trusted, cluster_addrs=[near]) as provider:
            await provider.get("db")
    assert (len(proxy.heads), len(vault.requests)) == (1, 1)


async def test_a_write_through_a_proxy_that_comes_back(vault, trusted):
    """A write that got no tunnel was not applied, and says so to whoever follows it."""
    vault.respond = lambda request: answer(body=document({"created_time": "2026-01-02T03:04:05Z", "version": 2}))
    async with (
        Tunnel(vault.port, answer=refusal(503)) as proxy,
        reading({"HTTPS_PROXY": proxy.url}, ca_cert=trusted) as provider,
    ):
        with followed() as sending:
            with pytest.raises(UnavailableError) as caught:
                await provider.put("db", "canary")
            assert (caught.value.outcome_unknown, sending.out) == (False, False)
            proxy.answer = READY
            assert (await provider.put("db", "canary")).version == "2"
            assert sending.out
    assert [request.method for request in vault.requests] == ["POST"]


# -- sockets of this machine


@contextlib.asynccontextmanager
async def at_socket(path, respond):
    """A server at a socket."""
    server = RawServer(respond)
    server._tasks = set()
    listener = await asyncio.start_unix_server(server._serve, path)
    yield server
    listener.close()
    for task in server._tasks:
        task.cancel()
    await asyncio.gather(*server._tasks, return_exceptions=True)


@pytest.mark.parametrize("spelling", ["unix://{}", "unix:{}", " unix://{}\n", "UNIX://{}"])
@pytest.mark.parametrize("variable", ["VAULT_ADDR", "HCP_VAULT_ADDR", "VAULT_AGENT_ADDR", "the setting"])
async def test_socket(tmp_path, spelling, variable):
    """A socket of an agent or server, as Vault's tools take it; proxies have no part in it."""
    path = str(tmp_path / "agent.sock")
    environ = {"HTTPS_PROXY": "http://127.0.0.1:1", "VAULT_ADDR": "https://not.asked.test", "VAULT_TOKEN": TOKEN}
    settings = {"addr": ""}
    if variable == "the setting":
        settings["addr"] = spelling.format(path)
    else:
        environ[variable] = spelling.format(path)
    async with (
        at_socket(path, lambda request: answer(body=secret())) as server,
        reading(environ, **settings) as provider,
    ):
        for _ in range(2):
            assert (await provider.get("db")).field("key").equals("canary-value")
        assert await provider.may_lag() in {True, False}
    assert server.requests[0].target == "/v1/secret/data/db"
    assert server.requests[0].headers["host"] == "localhost"
    assert server.requests[0].headers["x-vault-token"] == TOKEN


async def test_socket_faults(tmp_path, monkeypatch):
    """Each has its cause, and the path in it."""
    path = tmp_path / "agent.sock"
    addr = f"unix://{path}"
    assert str(path) in await refused(UnavailableError, {}, "is not there", addr=addr)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        await refused(UnavailableError, {}, "nobody listens", addr=addr)
    (tmp_path / "file").touch()
    for other in (tmp_path, tmp_path / "file"):
        await refused(UnavailableError, {}, "is no socket", addr=f"unix://{other}")
    await refused(UnavailableError, {}, "too long", addr=f"unix://{tmp_path}/{'x' * 120}")
    refuse = AsyncMock(side_effect=PermissionError(errno.EACCES, "canary"))  # root may open everything
    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", refuse)
    await refused(UnavailableError, {}, "may not be opened by this process", addr=addr)
    with pytest.raises(ConfigError, match=r"unix:///run/vault\.sock"):
        VaultProvider(VaultSettings(addr="unix://run/vault.sock", token=TOKEN))
    with pytest.raises(ConfigError, match="cluster_addrs does not go with a socket"):
        VaultProvider(VaultSettings(addr=addr, token=TOKEN, cluster_addrs=("https://other.test",)))


async def test_a_socket_that_breaks(tmp_path):
    """A connection that ends before the answer is told with the socket's path, and a write may have been applied."""
    path = str(tmp_path / "agent.sock")
    async with at_socket(path, lambda request: None), reading(addr=f"unix://{path}") as provider:
        for call, unknown in ((provider.get("db"), False), (provider.put("db", "canary"), True)):
            with pytest.raises(UnavailableError, match=f"the connection to the socket '{path}' broke") as caught:
                await call
            assert caught.value.outcome_unknown == unknown


# -- beside an agent that logs in itself


def agent(own=TOKEN):
    """What answers as an agent with `use_auto_auth_token = true` does: its token for who brings none."""

    def respond(request):
        if request.headers.get("x-vault-token", own) != TOKEN:
            return answer(403, {"errors": ["permission denied"]})
        return answer(body=mount() if "mounts" in request.target else secret())

    return respond


@pytest.mark.parametrize("environ", [{}, {"VAULT_TOKEN": "canary-of-others"}, {"HCP_VAULT_TOKEN": "canary-of-others"}])
async def test_auto_auth(environ):
    """`auth_method: none` sends no token, whichever there are, so that the agent sends its own."""
    async with RawServer(agent()) as server:
        for settings, more in (({"auth_method": "none"}, {}), ({}, {"HCP_VAULT_AUTH_METHOD": "none"})):
            async with reading(
                {**environ, **more}, server.url, **{"token": "", "kv_version": ""} | settings
            ) as provider:
                assert (await provider.get("db")).field("key").equals("canary-value")
                await provider.tokens._upkeep.join()
    assert {request.target for request in server.requests} == {"/v1/secret/data/db"}
    assert not any("x-vault-token" in request.headers for request in server.requests)


async def test_an_agent_whose_own_token_is_refused():
    """It is told as that; the next call asks again, and finds it mended."""
    async with (
        RawServer(agent("canary-revoked")) as server,
        reading((), server.url, token="", auth_method="none") as provider,
    ):
        for _ in range(2):
            with pytest.raises(AuthenticationError, match="use_auto_auth_token"):
                await provider.get("db")
        server.respond = agent()
        await provider.get("db")


async def test_no_token_is_revoked():
    """There is nothing to end when the client closes."""
    settings = {"token": "", "auth_method": "none", "revoke_on_close": "true"}
    async with RawServer(agent()) as server, reading((), server.url, **settings) as provider:
        await provider.get("db")
        await provider.aclose()
    assert not any("revoke" in request.target for request in server.requests)


async def test_who_says_no_token_was_sent():
    """A server that misses one says where it could come from."""
    missing = answer(400, {"errors": ["missing client token"]})
    async with (
        RawServer(lambda request: missing) as server,
        reading((), server.url, token="", auth_method="none") as provider,
    ):
        with pytest.raises(AuthenticationError, match=r"no Vault token was sent.*use_auto_auth_token"):
            await provider.get("db")


# -- answers that somebody on the way has rewritten


@pytest.mark.parametrize("status", [200, 403, 404])
@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", lambda _: b"\x1bcanary"),
        ("x-Canary", lambda _: b"\x00"),
    ],
)
async def test_compressed(status, coding, packed):
    """Nobody asked for it: it is named as that, also where it would otherwise pass for a refusal of Vault's."""
    reply = answer(status, packed(b'{"errors":["canary"]}'), Content_Encoding=coding)
    async with RawServer(lambda request: reply) as server, reading((), server.url) as provider:
        with pytest.raises(MalformedResponseError, match="is compressed, which was not asked for") as caught:
            await provider.get("db")
        assert "anary" not in str(caught.value)
        with pytest.raises(AsyncSecretsError) as caught:
            await provider.put("db", "canary")
        assert caught.value.outcome_unknown


async def test_compressed_failure(provider_at):
    """A 5xx is one, compressed or not: waiting may help."""
    reply = answer(502, gzip.compress(b"<html>"), Content_Encoding="gzip")
    async with RawServer(lambda request: reply) as server, provider_at(server.url) as provider:
        with pytest.raises(UnavailableError, match="502"):
            await provider.get("db")
