"""Who we are at Azure: every form, what decides between them, and what is said where there is none."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
import time
import traceback
from pathlib import Path

import pytest

from asyncsecrets.errors import (
    AuthenticationError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    RateLimitedError,
    UnavailableError,
)
from asyncsecrets.providers.azure.connection import Connection
from asyncsecrets.providers.azure.credentials import BearerTokens
from asyncsecrets.providers.azure.errors import Call
from asyncsecrets.providers.azure.identities import Target
from asyncsecrets.providers.azure.settings import AzureSettings
from tests.providers.azure.conftest import SYSTEM, answer, read, settings_at
from tests.providers.listening import Listening

SCOPE = "https://vault.azure.net/.default"
TARGET = Target(SCOPE)
VAULT = {"AZURE_KEY_VAULT_URI": "https://demo.vault.azure.net"}
METHODS = {
    "client_secret": "client_secret",
    "client_certificate": "client_certificate",
    "workload_identity": "workload_identity",
    "imds": "managed_identity",
    "app_service": "managed_identity",
    "arc": "managed_identity",
}


def tokens_of(environ, target=TARGET, *, sleep=lambda _: None, **settings):
    """Tokens without a vault; time passes only while they sleep."""
    made = AzureSettings.from_mapping(SYSTEM, settings, {**VAULT, **environ})
    tokens, slept = BearerTokens(made, target, Call(SYSTEM, "credentials")), []
    tokens._waiting._sleep = lambda seconds: (slept.append(seconds), sleep(seconds))
    tokens._waiting._clock = lambda: sum(slept)
    tokens.slept = slept
    return tokens


async def told(tokens, kind, match):
    """The failure to get a token."""
    with pytest.raises(kind, match=match) as caught:
        await tokens.current()
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.fixture(autouse=True)
def keys_of_arc(monkeypatch, request):
    """The agent's folder is the fake's."""
    if "server" in request.fixturenames:
        folder = request.getfixturevalue("server").machine.arc_folder
        monkeypatch.setattr("asyncsecrets.providers.azure.machine._KEYS", str(folder))


def principal(server):
    return next(record.principal for record in reversed(server.requests) if record.method == "GetSecret")


@pytest.mark.parametrize("chosen", [False, True], ids=["default", "chosen"])
@pytest.mark.parametrize("kind", METHODS)
async def test_an_identity(connected, server, kind, chosen):
    """Each form, found by what is set or named by a setting; one token for many calls."""
    connection = await connected(server.environ(kind), **({"auth_method": METHODS[kind]} if chosen else {}))
    assert await asyncio.gather(*(read(connection) for _ in range(10))) == ["canary"] * 10
    own = METHODS[kind] != "managed_identity"
    assert principal(server) == (server.client_id if own else server.machine.system)
    assert server.count("token" if own else kind) == (2 if kind == "arc" else 1)
    assert server.count("discovery") == 0


@pytest.mark.parametrize("kind", ["imds", "app_service"])
async def test_an_identity_that_is_assigned(connected, server, kind):
    """By its client id; one that is not assigned is told apart from a machine without any."""
    server.machine.assigned.add("11111111-2222-3333-4444-555555555555")
    environ = {**server.environ(kind), "AZURE_CLIENT_ID": "11111111-2222-3333-4444-555555555555"}
    await read(await connected(environ))
    assert principal(server) == environ["AZURE_CLIENT_ID"]
    server.machine.assigned.clear()
    await told(tokens_of(environ), AuthenticationError, "of this client id is assigned.*AZURE_CLIENT_ID")
    server.machine.system = None
    await told(tokens_of(server.environ(kind)), AuthenticationError, "no identity of its own")


async def test_a_machine_is_asked_in_passing(server, names):
    """Where nothing is set, IMDS is asked whether it is there, and is none of Azure's if it does not say so."""
    names["169.254.169.254"] = ("127.0.0.1", int(server.machine_url.rpartition(":")[2]))
    assert (await tokens_of({}).current()).target == TARGET
    assert [record.code for record in server.requests if record.method == "imds"] == ["invalid_request", "OK"]


class Endpoint(Listening):
    """Whoever answers where a machine's identity endpoint is looked for."""

    def __init__(self, answer):
        self.answer = answer

    async def _talk(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()


OTHERS = {
    "Docker": answer(403, body=b"unreachable"),
    "AWS": answer(404),
    "nonsense": answer(400, body=b"canary"),
    "a redirect": answer(302, "Location: http://192.0.2.1/canary"),
}


@pytest.mark.parametrize("who", OTHERS)
async def test_another_cloud(names, who):
    """It is not asked for tokens, and what to do is said."""
    async with Endpoint(OTHERS[who]) as other:
        names["169.254.169.254"] = ("127.0.0.1", other.own_port)
        await told(tokens_of({}), AuthenticationError, r"no Azure credentials.*AZURE_CLIENT_SECRET.*az login")


async def test_no_machine_and_no_login():
    """Nobody answers: it is said what to do, at once."""
    started = time.monotonic()
    await told(tokens_of({}), AuthenticationError, "no Azure credentials")
    assert time.monotonic() - started < 8


async def test_an_identity_without_what_it_needs(server):
    """A part of it: which is missing."""
    for environ, settings, missing in (
        ({"AZURE_CLIENT_SECRET": "canary"}, {}, r"\(client_secret\) needs azure_tenant_id .* and azure_client_id"),
        ({"AZURE_CLIENT_SECRET": "canary", "AZURE_CLIENT_ID": "x"}, {}, "needs azure_tenant_id"),
        ({}, {"auth_method": "workload_identity"}, r"azure_federated_token_file \(AZURE_FEDERATED_TOKEN_FILE\)"),
        ({}, {"auth_method": "client_certificate"}, "azure_client_certificate_path"),
    ):
        await told(tokens_of(environ, **settings), ConfigError, missing)


async def test_a_pod_without_an_application_is_no_workload(server):
    """AKS gives its token to every pod that asks: without a client id, the node's identity is meant."""
    environ = {**server.environ("workload_identity"), **server.environ("imds")}
    del environ["AZURE_CLIENT_ID"]
    await tokens_of(environ).current()
    assert server.count("imds") == 1


# -- applications


async def test_a_certificate_with_a_password(connected, server):
    """The right one, and a wrong one; a file that is none, or is not there."""
    environ = server.environ("client_certificate")
    path = server.entra.certificate_file(server.client_id, password="canary-word")
    environ["AZURE_CLIENT_CERTIFICATE_PATH"] = str(path)
    await read(await connected({**environ, "AZURE_CLIENT_CERTIFICATE_PASSWORD": "canary-word"}))
    at = settings_at(server)
    for password in ("", "canary-other"):
        given = {**environ, "AZURE_CLIENT_CERTIFICATE_PASSWORD": password}
        await told(tokens_of(given, **at), ConfigError, "azure_client_certificate_password .* is not that")
    Path(path).write_text("canary")
    await told(tokens_of(environ, **at), ConfigError, "is not a certificate with its RSA key")
    Path(path).unlink()
    await told(tokens_of(environ, **at), ConfigError, "AZURE_CLIENT_CERTIFICATE_PATH.* cannot be read")


async def test_a_certificate_that_is_renewed(server):
    """Its file is read for each token, so a new one is taken up."""
    tokens = tokens_of(server.environ("client_certificate"), **settings_at(server))
    first = await tokens.current()
    server.entra.applications[server.client_id].keys.clear()
    server.entra.certificate_file(server.client_id)
    assert await tokens.renew(first)
    await tokens.aclose()


async def test_a_federated_token_is_read_anew(server):
    """Kubernetes writes another one before the first has ended; one that is none is not sent."""
    environ, at = server.environ("workload_identity"), settings_at(server)
    path = Path(environ["AZURE_FEDERATED_TOKEN_FILE"])
    tokens = tokens_of(environ, **at)
    first = await tokens.current()
    server.entra.applications[server.client_id].federated.clear()
    server.entra.federated_token_file(server.client_id)
    assert await tokens.renew(first)
    await tokens.aclose()
    before = server.count("token")
    for content, match in ((b"", "is empty"), (b"canary canary", "has a blank"), (None, "cannot be read")):
        path.unlink() if content is None else path.write_bytes(content)
        await told(tokens_of(environ, **at), ConfigError, f"AZURE_FEDERATED_TOKEN_FILE.* {match}")
    assert server.count("token") == before


@pytest.mark.parametrize("setting", ["azure_client_certificate_path", "azure_federated_token_file"])
async def test_a_credential_where_the_path_of_its_file_was_to_be(server, setting):
    """Is not shown."""
    pasted = '{"private_key": "-----BEGIN PRIVATE KEY-----\\ncanary"}'
    who = {"azure_tenant_id": server.tenant, "azure_client_id": server.client_id, setting: pasted}
    await told(
        tokens_of({}, **settings_at(server, **who)), ConfigError, r"\(not shown, as it does not look like a path"
    )


ENTRA = {
    "secret": (401, "7000215", AuthenticationError, r"AADSTS7000215.*AZURE_CLIENT_SECRET.* is wrong.*not its id"),
    "expired": (401, "7000222", AuthenticationError, "AZURE_CLIENT_SECRET.* has expired"),
    "application": (400, "700016", AuthenticationError, "AZURE_CLIENT_ID.* is no application of the tenant"),
    "federated": (401, "700213", AuthenticationError, "no federated credential .*issuer, subject"),
    "clock": (401, "700024", AuthenticationError, "this machine's clock"),
    "certificate": (401, "700027", AuthenticationError, "upload its public part"),
    "unknown": (400, "9999999", AuthenticationError, "AADSTS9999999.*check the application"),
    "none": (400, "", AuthenticationError, "HTTP 400"),
    "tenant": (400, "90002", ConfigError, "no such tenant.*AZURE_TENANT_ID"),
    "tenant, misspelled": (400, "900023", ConfigError, "no such tenant.*AZURE_TENANT_ID"),
    "resource": (400, "500011", ConfigError, "knows no Azure Key Vault"),
    "throttled": (429, "", RateLimitedError, "Entra ID throttles"),
    "down": (503, "", UnavailableError, "HTTP 503"),
}


@pytest.mark.parametrize("method", ["token", "configuration"])
@pytest.mark.parametrize("why", ENTRA)
async def test_entra_refuses(server, why, method, caplog):
    """Each refusal with what to do, and nothing that it says; nor does azure-identity say it in a log."""
    status, number, kind, match = ENTRA[why]
    server.faults.status(status, "invalid_client", "canary", inner=number, retry_after=7, method=method)
    tokens = tokens_of(server.environ(), **settings_at(server))
    tokens._held = Connection.discreet
    await told(tokens, kind, match)
    assert server.count(method) == 1
    assert not [record for record in caplog.records if record.name.startswith(("azure", "msal"))]
    if kind is RateLimitedError:
        assert tokens._problem.retry_after == 7


ODD = {
    "page": lambda faults: faults.page(200, method="token"),
    "half": lambda faults: faults.corrupt("truncated", method="token"),
    "page in its place": lambda faults: faults.corrupt("page", method="token"),
}


@pytest.mark.parametrize("what", ODD)
async def test_entra_talks_nonsense(server, what):
    """What is no token is told as such."""
    ODD[what](server.faults)
    await told(tokens_of(server.environ(), **settings_at(server)), AuthenticationError, "makes no sense|no token")


async def test_entra_is_not_there(server, names):
    """No name, no connection, no trust, a connection that ends."""
    at = settings_at(server)
    await told(tokens_of(server.environ()), InsecureTransportError, r"azure_ca_cert \(or REQUESTS_CA_BUNDLE\)")
    server.faults.drop(method="token")
    await told(tokens_of(server.environ(), **at), UnavailableError, "hung up")
    names["login.microsoftonline.com"] = ("127.0.0.1", 1)
    await told(tokens_of(server.environ(), **at), UnavailableError, "azure_authority_host cannot be reached")
    del names["login.microsoftonline.com"]
    await told(tokens_of(server.environ(), **at), UnavailableError, "azure_authority_host cannot be reached")


async def test_whom_to_trust(server):
    """By the setting, or by the variable that Azure's own tools know."""
    await tokens_of({**server.environ(), "REQUESTS_CA_BUNDLE": server.ca_file}).current()
    await told(tokens_of(server.environ(), azure_ca_cert="/nowhere"), ConfigError, "'/nowhere' is not a readable PEM")


async def test_another_cloud_of_azure(server, names):
    """Where tokens are asked for follows from the vault, unless it is set."""
    environ = {**server.environ(), "AZURE_KEY_VAULT_URI": "https://demo.vault.azure.cn/"}
    at = {**settings_at(server)}
    await tokens_of(environ, Target("https://vault.azure.cn/.default"), **at).current()
    assert server.requests[-1].name.startswith("login.chinacloudapi.cn/")
    environ["AZURE_AUTHORITY_HOST"] = "login.microsoftonline.us"
    await tokens_of(environ, Target("https://vault.azure.cn/.default"), **at).current()
    assert server.requests[-1].name.startswith("login.microsoftonline.us/")


@pytest.mark.parametrize("allowed", [None, "*", "another;{}", "another"])
async def test_a_vault_in_another_tenant(server, allowed):
    """No tenant gets our credentials that is not named."""
    theirs = "99999999-2222-3333-4444-555555555555"
    server.entra.tenants.add(theirs)
    environ = server.environ() | ({"AZURE_ADDITIONALLY_ALLOWED_TENANTS": allowed.format(theirs)} if allowed else {})
    tokens = tokens_of(environ, Target(SCOPE, theirs), **settings_at(server))
    if allowed in {None, "another"}:
        await told(tokens, ConfigError, f"{theirs}.*AZURE_TENANT_ID.*AZURE_ADDITIONALLY_ALLOWED_TENANTS")
        assert not server.requests
    else:
        await tokens.current()
        assert theirs in server.requests[-1].name


async def test_a_tenant_by_its_domain(server):
    """It cannot be compared with the id that a vault names: it is ours that is asked."""
    server.entra.tenants.add("example.onmicrosoft.com")
    environ = {**server.environ(), "AZURE_TENANT_ID": "example.onmicrosoft.com"}
    await tokens_of(environ, Target(SCOPE, server.tenant), **settings_at(server)).current()
    assert "/example.onmicrosoft.com/" in server.requests[-1].name


# -- machines


@pytest.mark.parametrize("status", [404, 410, 429, 503])
async def test_a_machine_that_is_not_ready(server, status):
    """It is asked again in the thread; after twenty seconds of it, that is told."""
    server.faults.status(status, method="imds", times=3)
    await tokens_of(server.environ("imds")).current()
    assert server.count("imds") == 4
    server.faults.status(status, method="imds")
    tokens = tokens_of(server.environ("imds"))
    await told(tokens, UnavailableError, f"HTTP {status}")
    assert 19 <= sum(tokens.slept) <= 21


async def test_a_machine_that_is_not_ready_for_long(server):
    """Whoever waits for longer than patience has is told what for."""
    server.faults.status(410, method="imds")
    go_on = threading.Event()
    tokens = tokens_of(server.environ("imds"), sleep=lambda _: go_on.wait(10))
    tokens._patience = 0.3
    try:
        await told(tokens, UnavailableError, "waited for.*identity endpoint does not answer yet")
    finally:
        server.faults.clear()
        go_on.set()
    async with asyncio.timeout(10):  # the thread goes on, and has its token in the end
        await asyncio.wait({tokens._renewal})
    assert await tokens.current()
    await tokens.aclose()


async def test_where_a_machine_may_be_asked():
    """Beside this machine; in clear to another one only if that is allowed."""
    environ = {"IDENTITY_ENDPOINT": "http://192.0.2.1/msi/token", "IDENTITY_HEADER": "canary"}
    await told(tokens_of(environ), ConfigError, "IDENTITY_ENDPOINT is plain http to another machine")
    await told(tokens_of(environ, allow_insecure_http="true"), UnavailableError, "IDENTITY_ENDPOINT cannot be reached")


ARC = {
    "elsewhere": ("Basic realm=/etc/canary.key", "none of its own"),
    "above": ("Basic realm={folder}/../canary.key", "none of its own"),
    "of another kind": ("Basic realm={folder}/canary", "none of its own"),
    "nothing": ("Basic", "none of its own"),
    "absent": ("Basic realm={folder}/canary.key", "group himds"),
    "too long": ("Basic realm={folder}/long.key", "group himds"),
    "no text": ("Basic realm={folder}/odd.key", "group himds"),
}


@pytest.mark.parametrize("what", ARC)
async def test_arc_names_a_file(what, tmp_path, monkeypatch):
    """One of its own is read, and no other."""
    header, match = ARC[what]
    monkeypatch.setattr("asyncsecrets.providers.azure.machine._KEYS", str(tmp_path))
    (tmp_path / "canary").write_text("canary")
    (tmp_path / "long.key").write_text("canary" * 1000)
    (tmp_path / "odd.key").write_bytes(b"\xff\xfe")
    async with Endpoint(answer(401, f"WWW-Authenticate: {header.format(folder=tmp_path)}")) as agent:
        await told(tokens_of({"IDENTITY_ENDPOINT": agent.url, "IMDS_ENDPOINT": agent.url}), AuthenticationError, match)


NONSENSE = {
    "none": {},
    "no end": {"access_token": "canary"},
    "an end that is none": {"access_token": "canary", "expires_on": "x"},
    "no object": ["canary"],
    "no text": {"access_token": "canary canary", "expires_in": 9},
    "an empty token": {"access_token": "", "expires_in": 9},
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_a_machine_talks_nonsense(what):
    """What is no token is told as such."""
    async with Endpoint(answer(200, body=json.dumps(NONSENSE[what]).encode())) as endpoint:
        environ = {"IDENTITY_ENDPOINT": endpoint.url, "IDENTITY_HEADER": "canary"}
        await told(
            tokens_of(environ),
            (MalformedResponseError, AuthenticationError),
            "no token|access token (has a blank|is empty)",
        )


async def test_another_identity_than_was_asked_for():
    """Older agents of Arc give the token of the machine's own instead."""
    given = {"access_token": "canary", "client_id": "other", "expires_in": "99"}
    async with Endpoint(answer(200, body=json.dumps(given).encode())) as endpoint:
        environ = {"IDENTITY_ENDPOINT": endpoint.url, "IDENTITY_HEADER": "canary"}
        assert (await tokens_of(environ).current()).token == "canary"
        await told(
            tokens_of({**environ, "AZURE_CLIENT_ID": "ours"}), AuthenticationError, "of this client id is assigned"
        )


@pytest.mark.parametrize(
    ("status", "match"), [(401, "refuses .HTTP 401.*IDENTITY_HEADER"), (403, "no identity of its")]
)
async def test_a_machine_refuses(status, match):
    """Each with what to do."""
    async with Endpoint(answer(status, body=b"canary")) as endpoint:
        environ = {"IDENTITY_ENDPOINT": endpoint.url, "IDENTITY_HEADER": "canary"}
        await told(tokens_of(environ), AuthenticationError, match)


# -- logins


@pytest.fixture
def tool(tmp_path):
    """Install a program that gives what it is told to, and notes what it was asked; its environment and folder too."""

    def install(name, answer, *, code=0):
        script = tmp_path / name
        (tmp_path / f"{name}.answer").write_text(answer if isinstance(answer, str) else json.dumps(answer))
        lines = [f'echo "$@" >> {tmp_path}/{name}.asked', f"pwd > {tmp_path}/{name}.folder", "read x && exit 9"]
        script.write_text("\n".join(["#!/bin/sh", *lines, f"cat {tmp_path}/{name}.answer", f"exit {code}\n"]))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return {"PATH": f"{tmp_path}:/bin:/usr/bin"}

    install.asked = lambda name: (tmp_path / f"{name}.asked").read_text()
    install.folder = lambda name: (tmp_path / f"{name}.folder").read_text().strip()
    return install


LOGINS = {
    "az": ({"accessToken": "canary.t", "expires_on": 4e9}, "--resource https://vault.azure.net --tenant theirs"),
    "az, older": ({"accessToken": "canary.t", "expiresOn": "2096-10-02 09:06:40.000000"}, "account get-access-token"),
    "azd": ({"token": "canary.t", "expiresOn": "2096-10-02T07:06:40Z"}, f"--scope {SCOPE} --tenant-id theirs"),
    "pwsh": ({"token": "canary.t", "expires_on": 4e9}, "-NoProfile -NonInteractive -EncodedCommand"),
}


@pytest.mark.parametrize("login", LOGINS)
async def test_a_login(tool, login):
    """Of a developer, in each tool: found in the environment of the source, run away from where we are."""
    answer, asked = LOGINS[login]
    name = login.partition(",")[0]
    tokens = tokens_of(tool(name, answer), Target(SCOPE, "theirs"))
    shown = await tokens.current()
    assert shown.token == "canary.t"
    assert tokens._left(tokens._found) > 86_400
    assert asked in tool.asked(name)
    assert tool.folder(name) == "/"


async def test_the_tenant_of_a_login(tool):
    """One that is set goes before that of the vault."""
    environ = {**tool("az", LOGINS["az"][0]), "AZURE_TENANT_ID": "ours"}
    await tokens_of(environ, Target(SCOPE, "theirs")).current()
    assert "--tenant ours" in tool.asked("az")


async def test_the_next_tool(tool):
    """One that is not logged in gives way to the next; what worked is remembered."""
    tool("az", "canary", code=1)
    tokens = tokens_of(tool("azd", LOGINS["azd"][0]), auth_method="cli")
    first = await tokens.current()
    tokens._work(anew=False)
    assert tool.asked("az").count("\n") == 1
    assert tool.asked("azd").count("\n") == 2
    assert tokens._frozen == first


async def test_no_tool_gives_a_token(tool):
    """Each is told with what to do, and nothing that it wrote."""
    tool("az", "canary", code=1)
    environ = tool("azd", "[]")
    await told(
        tokens_of(environ), AuthenticationError, r"az failed \(exit 1\): run `az login`; azd gives no token.*azd"
    )
    await told(tokens_of({"PATH": "/nowhere"}, auth_method="cli"), AuthenticationError, "neither az, azd nor pwsh")


async def test_programs_of_this_process_are_not_run(tool, monkeypatch):
    """The environment is that of the source."""
    monkeypatch.setenv("PATH", tool("az", LOGINS["az"][0])["PATH"])
    await told(tokens_of({}), AuthenticationError, "no Azure credentials")
