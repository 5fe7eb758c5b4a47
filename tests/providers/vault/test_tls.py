"""TLS: trust, client certificates, rotation on disk, and nothing sent where it fails."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import shutil
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from asyncsecrets.errors import AuthenticationError, ConfigError, InsecureTransportError, UnavailableError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.providers.vault.tls import TlsFiles
from asyncsecrets.sending import followed
from asyncsecrets.testing.vault_server import VaultServer

from .backend import Backend
from .raw import RawServer, answer


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A CA of its own."""
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path):
    """Its certificate in a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def serving(authority, *names, client=False):
    """A server's context with a certificate for `names`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    if client:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def issued(authority, folder, name="client", password=None, **more):
    """A client certificate and key as files."""
    certificate = authority.issue_cert(f"{name}@canary.test", common_name=name, **more)
    cert, key = folder / "client.pem", folder / "client.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    pem = certificate.private_key_pem.bytes()
    if password:
        loaded = serialization.load_pem_private_key(pem, None)
        encryption = serialization.BestAvailableEncryption(password.encode())
        pem = loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    key.write_bytes(pem)
    return {"client_cert": str(cert), "client_key": str(key)}


async def test_ca_bundle(provider_at, authority, trusted):
    """A CA file is what is trusted."""
    context = serving(authority, "127.0.0.1")
    async with RawServer(ssl=context) as server, provider_at(server.url, ca_cert=str(trusted)) as provider:
        await provider.get("name")
        assert server.requests[-1].target == "/v1/secret/data/name"


async def test_ca_directory(provider_at, authority, trusted):
    """A directory of CA files needs no hashed links; both settings take one."""
    context = serving(authority, "127.0.0.1")
    (trusted.parent / "README").write_text("what else lies there does not matter")
    for setting in ("ca_path", "ca_cert"):
        trust = {setting: str(trusted.parent)}
        async with RawServer(ssl=context) as server, provider_at(server.url, **trust) as provider:
            await provider.get("name")
            assert server.requests[-1].target == "/v1/secret/data/name"


async def test_server_name(provider_at, authority, trusted):
    """tls_server_name is the name that the certificate must have."""
    settings = {"ca_cert": str(trusted), "tls_server_name": "vault.canary.test"}
    context = serving(authority, "vault.canary.test")
    async with RawServer(ssl=context) as server, provider_at(server.url, **settings) as provider:
        await provider.get("name")
        assert server.requests[-1].target == "/v1/secret/data/name"


@pytest.mark.parametrize("fault", ["unknown ca", "other name", "expired"])
async def test_tls_failure_sends_nothing(provider_at, authority, trusted, fault):
    """Where TLS fails, not one byte of a request leaves, and the error says what to look at."""
    context = serving(authority, "127.0.0.1")
    if fault == "unknown ca":
        context = serving(trustme.CA(), "127.0.0.1")
    elif fault == "other name":
        context = serving(authority, "other.canary.test")
    elif fault == "expired":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(context)
    async with RawServer(ssl=context) as server, provider_at(server.url, ca_cert=str(trusted)) as provider:
        with pytest.raises(InsecureTransportError, match="TLS"):
            await provider.get("name")
    assert b"canary" not in server.received
    assert server.requests == []


@pytest.mark.parametrize("named", ["by addr", "by tls_server_name"])
async def test_a_common_name_is_no_name(provider_at, authority, trusted, named):
    """A certificate that has the name as its common name only, and no subjectAltName, is for another host."""
    name, settings = (
        ("localhost", {}) if named == "by addr" else ("vault.canary.test", {"tls_server_name": "vault.canary.test"})
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(common_name=name).configure_cert(context)
    async with RawServer(ssl=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with provider_at(url, ca_cert=str(trusted), **settings) as provider:
            with pytest.raises(InsecureTransportError, match="another host name"):
                await provider.get("name")
    assert server.requests == []


@pytest.mark.parametrize("reply", [b"\x15\x03\x01\x00\x02\x02\x46", b"HTTP/1.1 400 Bad Request\r\n\r\ncanary"])
async def test_server_without_our_tls(provider_at, reply):
    """A server that has no TLS 1.2 (alert 70), or no TLS at all, is not asked in another way."""
    received = []

    async def serve(reader, writer):
        received.append(await reader.read(1000))
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with provider_at(f"https://127.0.0.1:{port}") as provider:
            with pytest.raises(InsecureTransportError):
                await provider.get("name")
    assert len(received) == 1
    assert b"canary" not in received[0]


async def test_client_certificate_rotates(provider_at, authority, trusted, tmp_path):
    """A certificate that the server refuses is replaced by the one on disk, without a restart."""
    login = issued(trustme.CA(), tmp_path)
    async with (
        RawServer(ssl=serving(authority, "127.0.0.1", client=True)) as server,
        provider_at(server.url, ca_cert=str(trusted), auth_method="token", token="canary", **login) as provider,
    ):
        with pytest.raises((AuthenticationError, UnavailableError)):
            await provider.get("name")
        issued(authority, tmp_path)
        await provider.get("name")
    assert len(server.requests) == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_client_certificate_that_has_expired(provider_at, authority, trusted, tmp_path, version):
    """Be it that the server says so or only hangs up: it is our credential that is wrong, and not the network."""
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    login = issued(authority, tmp_path, not_after=ended)
    context = serving(authority, "127.0.0.1", client=True)
    context.maximum_version = version
    settings = {"ca_cert": str(trusted), "auth_method": "token", "token": "canary", **login}
    async with RawServer(ssl=context) as server, provider_at(server.url, **settings) as provider:
        for call in (lambda: provider.get("name"), lambda: provider.put("name", "canary"), provider.list):
            with pytest.raises(AuthenticationError, match=r"client_cert.* expired"):
                await call()
        issued(authority, tmp_path)
        await provider.get("name")


@pytest.mark.parametrize("heard", [True, False])
async def test_what_became_of_a_write_with_a_certificate_that_has_expired(
    provider_at, authority, trusted, tmp_path, heard
):
    """A server that heard the write before it hung up may have applied it; one that ended the handshake has not."""
    login = issued(authority, tmp_path, not_after=dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
    context = serving(authority, "127.0.0.1", client=not heard)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in which the client hears of it within the handshake
    settings = {"ca_cert": str(trusted), "auth_method": "token", "token": "canary", **login}
    async with (
        RawServer(lambda request: None, ssl=context) as server,
        provider_at(server.url, **settings) as provider,
    ):
        provider._mount.verified = True
        for call, open_end in ((lambda: provider.put("name", "canary"), heard), (lambda: provider.get("name"), False)):
            with followed() as sending, pytest.raises(AuthenticationError, match=r"client_cert.* expired") as caught:
                await call()
            assert (caught.value.outcome_unknown, sending.out) == (open_end, open_end)


async def test_an_issuing_ca_without_its_root(provider_at, authority, tmp_path):
    """Who issued the certificate is enough, be its own issuer known or not, and whether or not the server sends it."""
    issuing = authority.create_child_ca()
    path = tmp_path / "issuing.pem"
    issuing.cert_pem.write_to_path(str(path))
    for sends in (True, False):
        context, leaf = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), issuing.issue_cert("127.0.0.1")
        chain = leaf.cert_chain_pems if sends else leaf.cert_chain_pems[:1]
        (tmp_path / "server.pem").write_bytes(b"".join(pem.bytes() for pem in (leaf.private_key_pem, *chain)))
        context.load_cert_chain(tmp_path / "server.pem")
        async with RawServer(ssl=context) as server, provider_at(server.url, ca_cert=str(path)) as provider:
            await provider.get("name")
            assert len(server.requests) == 1


def self_signed(name):
    """A context with a certificate that nobody but its owner has signed."""
    authority = trustme.CA()
    context, leaf = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), authority.issue_cert(name)
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    mine = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "canary")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(mine, mine, key.public_key(), 1, now - dt.timedelta(1), now + dt.timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return context, leaf.private_key_pem.bytes() + pem


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("expired", "the certificate has expired"),
        ("not yet valid", "the certificate is not valid yet"),
        ("unknown issuer", "its CA is not trusted"),
        ("no certificate between", "its CA is not trusted"),
        ("self-signed", "the certificate is self-signed"),
        ("another name", "the certificate is for another host name"),
        ("no subjectAltName", "or has no subjectAltName"),
    ],
)
async def test_causes(provider_at, authority, trusted, tmp_path, cause, told):
    """Each failure of TLS says which it is, from a real handshake, and names the server."""
    context, now, day = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    made = {
        "expired": lambda: authority.issue_cert("localhost", not_after=now - day),
        "not yet valid": lambda: authority.issue_cert("localhost", not_before=now + day, not_after=now + 2 * day),
        "unknown issuer": lambda: trustme.CA().issue_cert("localhost"),
        "another name": lambda: authority.issue_cert("other.canary.test"),
        "no subjectAltName": lambda: authority.issue_cert(common_name="localhost"),
        "no certificate between": lambda: authority.create_child_ca().issue_cert("localhost"),
    }
    if cause == "self-signed":
        context, pem = self_signed("localhost")
        (tmp_path / "server.pem").write_bytes(pem)
        context.load_cert_chain(tmp_path / "server.pem")
    elif cause == "no certificate between":
        leaf = made[cause]()
        (tmp_path / "server.pem").write_bytes(leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes())
        context.load_cert_chain(tmp_path / "server.pem")
    else:
        made[cause]().configure_cert(context)
    async with RawServer(ssl=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with provider_at(url, ca_cert=str(trusted)) as provider:
            with pytest.raises(InsecureTransportError, match=f"localhost:{server.port} failed .*{told}"):
                await provider.get("name")
    assert server.requests == []


async def test_a_handshake_that_is_ended(provider_at, trusted):
    """Who hangs up before TLS is agreed on, orderly too, is told as that, and a write was certainly not applied."""

    async def hang_up(reader, writer):
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, provider_at(url, ca_cert=str(trusted)) as provider:
        with pytest.raises(UnavailableError, match="ended before TLS was agreed on") as told:
            await provider.put("name", "canary")
    assert not told.value.outcome_unknown


@pytest.mark.parametrize("form", ["file", "directory"])
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_bundles_of_the_environment(authority, trusted, variable, form):
    """A company's CA in the variables that hvac and Vault's own tools follow, where no setting says whom to trust."""
    path = trusted if form == "file" else trusted.parent
    environ = {variable: f" {path}\n", "VAULT_TOKEN": "canary", "VAULT_CACERT": ""}
    async with RawServer(ssl=serving(authority, "127.0.0.1")) as server:
        provider = VaultProvider.from_settings({"addr": server.url}, environ)
        await provider.open()
        await provider.get("name")
        await provider.aclose()
        assert len(server.requests) == 1


async def test_a_bundle_beside_a_setting(authority, trusted, tmp_path):
    """Where a setting or VAULT_CACERT says whom to trust, nobody else is; a bundle that is none is told by its name."""
    (tmp_path / "other").mkdir()
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other" / "ca.pem"))
    environ = {"REQUESTS_CA_BUNDLE": str(trusted), "VAULT_TOKEN": "canary"}
    other = str(tmp_path / "other")
    async with RawServer(ssl=serving(authority, "127.0.0.1")) as server:
        for settings, more in (({"ca_cert": other}, {}), ({}, {"VAULT_CACERT": other}), ({}, {"VAULT_CAPATH": other})):
            provider = VaultProvider.from_settings({"addr": server.url, **settings}, environ | more)
            await provider.open()
            with pytest.raises(InsecureTransportError, match="CA is not trusted"):
                await provider.get("name")
            await provider.aclose()
        missing = VaultProvider.from_settings({"addr": server.url}, environ | {"REQUESTS_CA_BUNDLE": "/no/such.pem"})
        with pytest.raises(ConfigError, match=r"^REQUESTS_CA_BUNDLE: '/no/such.pem'"):
            await missing.open()
    assert server.requests == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_a_bundle_of_nothing(authority, tmp_path, variable):
    """A variable that is blank is none. Where OpenSSL passes over one of its own, the failure names it."""
    (tmp_path / "none.pem").write_text("canary")
    async with RawServer(ssl=serving(authority, "127.0.0.1")) as server:
        for path in (" \n", str(tmp_path / "none.pem"), str(tmp_path / "missing"), str(tmp_path)):
            environ = {variable: path, "VAULT_TOKEN": "canary"}
            provider = VaultProvider.from_settings({"addr": server.url}, environ)
            silent = path.isspace() or "SSL" in variable  # as long as nobody has to be trusted
            with contextlib.nullcontext() if silent else pytest.raises(ConfigError) as told:
                await provider.open()
            if silent:
                with pytest.raises(InsecureTransportError) as told:
                    await provider.get("name")
            await provider.aclose()
            assert (variable in str(told.value)) is not path.isspace()
    assert server.requests == []


async def test_encrypted_key(provider_at, authority, trusted, tmp_path):
    """A key with a pass phrase is read with it, and nobody is asked for one on a terminal."""
    login = issued(authority, tmp_path, password="canary-pass")
    settings = {"ca_cert": str(trusted), "auth_method": "token", "token": "canary", **login}
    async with RawServer(ssl=serving(authority, "127.0.0.1", client=True)) as server:
        async with provider_at(server.url, client_key_password="canary-pass", **settings) as provider:
            await provider.get("name")
        for password in ("", "canary-wrong"):
            with pytest.raises(ConfigError, match="client_key") as caught:
                async with provider_at(server.url, client_key_password=password, **settings):
                    pass
            assert "canary-wrong" not in str(caught.value)


@pytest.mark.parametrize("setting", ["ca_cert", "ca_path", "client"])
def test_missing_files(tmp_path, setting):
    """A TLS file that is not there, or is none, is named."""
    path = tmp_path / "missing"
    settings = {setting: str(path)} if setting != "client" else {"client_cert": str(path), "client_key": str(path)}
    for _ in range(2):
        with pytest.raises(ConfigError, match=setting):
            TlsFiles(VaultSettings(addr="https://vault.test", token="canary", auth_method="token", **settings)).load()
        if setting != "ca_path":
            path.write_text("canary nonsense")


def test_half_written_rotation(authority, trusted, tmp_path):
    """A certificate whose key has not followed yet is not taken up; the pair is, once it fits."""
    login = issued(authority, tmp_path)
    files = TlsFiles(VaultSettings(addr="https://vault.test", ca_cert=str(trusted), **login))
    files.load()
    assert files.reload() is None
    other = tmp_path / "other"
    other.mkdir()
    issued(authority, other)
    shutil.copy(other / "client.pem", login["client_cert"])
    assert files.reload() is None
    shutil.copy(other / "client.key", login["client_key"])
    assert files.reload() is not None


@pytest.mark.parametrize("setting", ["ca_path", "ca_cert"])
async def test_rewritten_file_of_a_ca_directory(provider_at, authority, tmp_path, setting):
    """A CA that is replaced within its file is taken up: the directory itself shows no change."""
    folder = tmp_path / "authorities"
    folder.mkdir()
    trustme.CA().cert_pem.write_to_path(str(folder / "ca.pem"))
    before = folder.stat()
    async with (
        RawServer(ssl=serving(authority, "127.0.0.1")) as server,
        provider_at(server.url, **{setting: str(folder)}) as provider,
    ):
        with pytest.raises(InsecureTransportError):
            await provider.get("a")
        (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
        assert folder.stat().st_mtime_ns == before.st_mtime_ns
        await provider.get("a")
        assert await provider._transport.reload_tls() is False


async def test_https_node_behind_http(provider_at, authority, trusted):
    """A node with TLS that a loopback http standby redirects to is trusted by our CA settings, and by them alone."""
    async with RawServer(ssl=serving(authority, "127.0.0.1")) as active, RawServer() as standby:
        standby.respond = lambda request: answer(307, b"", Location=active.url + request.target)
        async with provider_at(standby.url, cluster_addrs=(active.url,), ca_cert=str(trusted)) as provider:
            await provider.get("name")
        async with provider_at(standby.url, cluster_addrs=(active.url,)) as provider:
            with pytest.raises(InsecureTransportError):
                await provider.get("name")
    assert len(active.requests) == 1


async def test_what_is_wrong_with_the_certificate(provider_at, authority, trusted):
    """The error of a refused certificate names the server, and says what is wrong with it."""
    async with RawServer(ssl=serving(authority, "127.0.0.1")) as server:
        async with provider_at(server.url) as provider:
            with pytest.raises(InsecureTransportError, match=f"127.0.0.1:{server.port} failed .its CA is not trusted"):
                await provider.get("name")
        async with provider_at(server.url, ca_cert=str(trusted), tls_server_name="other.test") as provider:
            with pytest.raises(InsecureTransportError, match="for another host name"):
                await provider.get("name")


def test_directory_that_may_not_be_read(tmp_path, monkeypatch):
    """A CA directory whose listing is refused is a ConfigError that names the setting."""

    def refuse(path):
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigError, match="ca_path"):
        TlsFiles(VaultSettings(addr="https://vault.test", token="canary", ca_path=str(tmp_path))).load()


def test_context(trusted):
    """TLS 1.2 at least, certificates required, names checked, and no session keys written anywhere."""
    context = TlsFiles(VaultSettings(addr="https://vault.test", token="canary", ca_cert=str(trusted))).load()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.keylog_filename is None


async def test_certificate_login(provider_at, tmp_path):
    """The connection's certificate is the login; a rotated one logs in anew instead of renewing."""
    async with VaultServer(root_token="canary-root", tls=True) as server:
        first, second = server.client_certificate("web"), server.client_certificate("web2")
        backend = Backend(server.url, "canary-root", ssl=ssl.create_default_context(cafile=server.ca_file))
        await backend.enable("cert")
        for name, certificate in (("web", first), ("web2", second)):
            await backend(
                "POST", f"auth/cert/certs/{name}", {"certificate": certificate.pem, "token_policies": "reader"}
            )
        await backend.write()
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        shutil.copy(first.cert_file, cert)
        shutil.copy(first.key_file, key)
        login = {"client_cert": str(cert), "client_key": str(key), "ca_cert": server.ca_file, "auth_method": "cert"}
        async with provider_at(server.url, **login) as provider:
            await provider.get("name")
            await provider.tokens._upkeep.join()
            assert (provider.tokens.logins, provider.tokens.renewals) == (1, 1)
            assert server.count("POST", "/v1/auth/token/renew-self") == 1
            shutil.copy(second.cert_file, cert)
            shutil.copy(second.key_file, key)
            await provider.tokens._upkeep.join()
            await provider.get("name")
            assert (provider.tokens.logins, provider.tokens.renewals) == (2, 1)
        async with provider_at(server.url, **login, cert_role="web2") as provider:
            await provider.get("name")


async def test_a_write_that_may_have_been_applied_is_not_sent_with_the_new_certificate(
    provider_at, authority, trusted, tmp_path
):
    """It was sent once, whatever lies on the disk by then; a read is made again."""
    login = issued(authority, tmp_path)
    async with (
        RawServer(lambda request: None, ssl=serving(authority, "127.0.0.1", client=True)) as server,
        provider_at(server.url, ca_cert=str(trusted), auth_method="token", token="canary", **login) as provider,
    ):
        provider._mount.verified = True
        for call, sent in ((lambda: provider.put("name", "canary"), 1), (lambda: provider.get("name"), 2)):
            issued(authority, tmp_path)
            server.requests.clear()
            with pytest.raises(UnavailableError, match="broke before the answer"):
                await call()
            assert len(server.requests) == sent
