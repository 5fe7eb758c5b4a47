"""Who we are at Google: every file, the metadata server, and what is said where there is none."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.cloud.secretmanager_v1 import AccessSecretVersionRequest

from asyncsecrets.credential import Credential
from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
)
from asyncsecrets.providers.google.connection import Connection
from asyncsecrets.providers.google.credentials import BearerTokens, Shown
from asyncsecrets.providers.google.errors import Call
from asyncsecrets.providers.google.services import SECRET_MANAGER
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.providers.programs import ProgramError
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.conftest import settings_at
from tests.providers.listening import Listening

SYSTEM = "google_secret_manager"
ACCOUNT = "reader@example-project.iam.gserviceaccount.com"


@pytest.fixture
async def server():
    """A fake that accepts what it issues."""
    async with GoogleServer(tokens=()) as running:
        running.add("NAME", "canary")
        yield running


@pytest.fixture
async def connected(server):
    """Make open connections by settings and an environment."""
    made = []

    async def build(file=None, environ=None, **more):
        settings = {**settings_at(server, file), **more}
        connection = Connection(SECRET_MANAGER, SYSTEM, GoogleSettings.from_mapping(SYSTEM, settings, environ or {}))
        await connection.open()
        made.append(connection)
        return connection

    yield build
    for connection in made:
        await connection.aclose()


async def access(connection, server):
    """Read the secret; who was it that read it, in the server's eyes?"""
    name = f"projects/{server.project}/secrets/NAME/versions/latest"
    request = AccessSecretVersionRequest(name=name)
    answer = await connection.call(Call(SYSTEM, "AccessSecretVersion", "NAME", f"name={name}"), request)
    assert answer.payload.data == b"canary"
    return next(record for record in reversed(server.requests) if record.method == "AccessSecretVersion").principal


def tokens_of(environ, **settings):
    """Tokens without a server behind them."""
    made = GoogleSettings.from_mapping(SYSTEM, settings, environ)
    return BearerTokens(made, Call(SYSTEM, "credentials"), sleep=lambda _: None)


def altered(file, **facts):
    """The file, with other facts in it."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))
    return file


def machine_of(server):
    """The environment of a machine beside the fake."""
    return {"GCE_METADATA_HOST": server.url.partition("//")[2]}


WAYS = {
    "service account": (lambda who, uri: who.service_account_file(), "app@example-project.iam.gserviceaccount.com"),
    "user": (lambda who, uri: who.authorized_user_file(token_uri=uri), "user@example.com"),
    "file": (lambda who, uri: who.external_account_file(), "subject/workload"),
    "url": (lambda who, uri: who.external_account_file(source="url"), "subject/workload"),
    "as a service account": (lambda who, uri: who.external_account_file(account=ACCOUNT), ACCOUNT),
    "impersonated": (lambda who, uri: who.impersonated_file(ACCOUNT), ACCOUNT),
}


@pytest.mark.parametrize("given", ["setting", "variable", "gcloud"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_file(connected, server, way, given, tmp_path):
    """Every type, by the setting, by the variable, and where gcloud leaves it; once for many calls."""
    make, principal = WAYS[way]
    file = make(server.identity, server.token_uri)
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)} if given == "variable" else {}
    if given == "gcloud":
        environ = {"HOME": str(tmp_path)}
        (tmp_path / ".config/gcloud").mkdir(parents=True)
        (tmp_path / ".config/gcloud/application_default_credentials.json").write_text(file.read_text())
    connection = await connected(file if given == "setting" else None, environ)
    for found in await asyncio.gather(*(access(connection, server) for _ in range(10))):
        assert found.endswith(principal)
    assert sum(server.count(method) for method in ("token", "exchange", "impersonate")) <= 2


async def test_a_service_account_needs_no_token_endpoint(connected, server):
    """It signs for itself, as Google's own clients do."""
    connection = await connected(server.identity.service_account_file(token_uri="http://127.0.0.1:1/"))
    await access(connection, server)
    assert [record.method for record in server.requests] == ["AccessSecretVersion"]


async def test_the_metadata_server(connected, server):
    """Where no file is, a machine's service account; its project is that of the credentials."""
    connection = await connected(None, machine_of(server))
    assert (await access(connection, server)) == server.identity.default_account
    assert await connection.project("NAME") == server.project


@pytest.mark.parametrize("way", ["user", "file", "as a service account", "machine"])
async def test_tokens_that_expire_under_way(connected, server, way):
    """Google refuses one that was good: it is got anew, once for all who wait, and nobody notices."""
    file = None if way == "machine" else WAYS[way][0](server.identity, server.token_uri)
    connection = await connected(file, machine_of(server) if way == "machine" else {})
    await access(connection, server)
    source = {"as a service account": "impersonate", "user": "token", "file": "exchange"}.get(way, "metadata")
    before = server.count(source)
    server.identity.lifetime = 7200.0
    server.advance(3601)
    await asyncio.gather(*(access(connection, server) for _ in range(10)))
    assert server.count(source) - before <= 3  # of a machine: universe, token, project


async def test_a_login_that_was_revoked(connected, server):
    """What gives tokens refuses: it is said what to do, and three attempts at once are enough."""
    connection = await connected(server.identity.authorized_user_file(token_uri=server.token_uri))
    await access(connection, server)
    server.identity.revoke("user@example.com")
    for _ in range(6):
        with pytest.raises(AuthenticationError, match=r"gcloud auth application-default login") as caught:
            await access(connection, server)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert server.count("token") <= 4


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
async def test_a_token_endpoint_that_is_down(connected, server, code):
    """It is asked once in each attempt: google-auth would sleep, and ask thrice."""
    server.faults.status(code, "canary", method="token")
    connection = await connected(server.identity.authorized_user_file(token_uri=server.token_uri))
    with pytest.raises(UnavailableError, match="cannot answer now") as caught:
        await access(connection, server)
    assert server.count("token") == 1
    assert "canary" not in str(caught.value)


async def test_impersonation_by_a_setting(server, connected, tmp_path):
    """As another service account, at the address of Google's universe; what it may not be is told with the role."""
    settings = GoogleSettings(impersonate=ACCOUNT, credentials_file=str(server.identity.service_account_file()))
    tokens = BearerTokens(settings, Call(SYSTEM, "credentials"))
    sent = []

    def send(where, url, method, headers, body):
        sent.append((url, json.loads(body)["scope"]))
        raise tokens._call.error(UnavailableError, "seen")

    object.__setattr__(tokens, "_wire", type("Wire", (), {"send": staticmethod(send)})())
    with pytest.raises(UnavailableError, match="seen"):
        await tokens.current()
    assert sent == [
        (
            f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken",
            ["https://www.googleapis.com/auth/cloud-platform"],
        )
    ]


async def test_who_passes_on_an_impersonation(server):
    """Is told as the file has it."""
    file = server.identity.impersonated_file(ACCOUNT, delegates=["projects/-/serviceAccounts/another"])
    tokens, real, sent = tokens_of({"GOOGLE_APPLICATION_CREDENTIALS": str(file)}), None, []

    def send(where, url, method, headers, body):
        sent.append((url, body))
        return real.send(where, url, method, headers, body)

    real, tokens._wire = tokens._wire, type("Wire", (), {"send": staticmethod(send)})()
    await tokens.current()
    (asked,) = [json.loads(body) for url, body in sent if "generateAccessToken" in url]
    assert asked["delegates"] == ["projects/-/serviceAccounts/another"]


async def test_an_impersonation_by_a_machine_is_renewed_as_any(server):
    """What the metadata server keeps until its end is another token."""
    found = await asyncio.to_thread(tokens_of(machine_of(server))._find)
    tokens = tokens_of(machine_of(server), google_impersonate_service_account=ACCOUNT)
    impersonating = await asyncio.to_thread(tokens._find)
    assert found.ahead < 4 * 60 < impersonating.ahead


@pytest.mark.parametrize("variable", ["GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"])
async def test_the_project_of_the_environment(server, variable):
    """Comes before that of the credentials, as with Google's own clients."""
    file = server.identity.service_account_file()
    settings = {"google_application_credentials": str(file)}
    assert (await tokens_of({}, **settings).current()).project == server.project
    assert (await tokens_of({variable: "another"}, **settings).current()).project == "another"


async def test_a_token_in_a_file_is_not_used(connected, server):
    """It may be of any age: one is got in any case."""
    ends = {"token": "canary", "expiry": "2999-01-01T00:00:00Z"}
    file = server.identity.authorized_user_file(token_uri=server.token_uri, **ends)
    assert (await access(await connected(file), server)) == "user@example.com"


QUOTA = {
    "setting": ({"google_quota_project_id": "of-setting"}, {"GOOGLE_CLOUD_QUOTA_PROJECT": "of-variable"}, "of-setting"),
    "variable": ({}, {"GOOGLE_CLOUD_QUOTA_PROJECT": "of-variable"}, "of-variable"),
    "file": ({}, {}, "of-file"),
}


@pytest.mark.parametrize("given", QUOTA)
async def test_quota_project(connected, server, given):
    """By a setting, a variable or the file; it is sent with each call."""
    settings, environ, expected = QUOTA[given]
    file = server.identity.authorized_user_file(token_uri=server.token_uri, quota_project_id="of-file")
    connection = await connected(file, environ, **settings)
    await access(connection, server)
    assert server.requests[-1].metadata["x-goog-user-project"] == expected


async def test_the_universe_must_be_the_same(connected, server):
    """Credentials of another universe than that of the source: the setting is named, and nothing is sent."""
    file = altered(server.identity.service_account_file(), universe_domain="example.test")
    connection = await connected(file)
    with pytest.raises(ConfigError, match=r"another universe.*google_universe_domain.*'googleapis.com'"):
        await access(connection, server)
    assert not server.requests


SIGNER = '{"type": "service_account", "client_email": "a", "token_uri": "b", "private_key": %s}'
PARTS = {"type": "external_account", "audience": "a", "subject_token_type": "b", "token_url": "c"}
ANOTHER = {"type": "impersonated_service_account", "service_account_impersonation_url": "canary"}
FAULTY = {
    "no JSON": ("canary", "no JSON object"),
    "deep": ("[" * 50_000, "no JSON object"),
    "no object": ('["canary"]', "no JSON object"),
    "no type": ("{}", "none of the types"),
    "another type": ('{"type": "canary"}', "none of the types"),
    "a type that is none": ('{"type": ["canary"]}', "none of the types"),
    "an OAuth client": ('{"installed": {"client_secret": "canary"}}', "none of the types"),
    "incomplete": ('{"type": "service_account", "client_email": "canary"}', "damaged or incomplete"),
    "no key": (SIGNER % '"canary"', "damaged or incomplete"),
    "odd": (SIGNER % "7", "damaged or incomplete"),
    "a source": (json.dumps({**PARTS, "credential_source": {"certificate": {}}}), "damaged or incomplete"),
    "within": (json.dumps({**ANOTHER, "source_credentials": {"type": "canary"}}), "damaged or incomplete"),
}


@pytest.mark.parametrize("what", FAULTY)
async def test_a_file_that_is_wrong(tmp_path, what):
    """It says which file, from where, and what is wrong, and nothing of what is in it."""
    text, says = FAULTY[what]
    (tmp_path / "file.json").write_text(text)
    tokens = tokens_of({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "file.json")})
    with pytest.raises(ConfigError, match=says) as caught:
        await tokens.current()
    assert "file.json" in str(caught.value)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value)).replace(str(tmp_path), "")


@pytest.mark.parametrize(("made", "left"), [("\\n", "\n"), ("\\n", "\\\\n")])
async def test_lines_of_a_key_as_shells_and_templates_leave_them(connected, server, made, left):
    """Broken in the middle of the document, or escaped twice: it is the same key."""
    file = server.identity.service_account_file()
    file.write_text(file.read_text().replace(made, left))
    await access(await connected(file), server)


async def test_a_file_that_is_not_there(tmp_path):
    """One that was named must be there."""
    for environ, settings in (
        ({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "no")}, {}),
        ({}, {"google_application_credentials": str(tmp_path / "no")}),
    ):
        with pytest.raises(ConfigError, match=r"GOOGLE_APPLICATION_CREDENTIALS.* cannot be read"):
            await tokens_of(environ, **settings).current()


# -- no credentials


@pytest.mark.parametrize("environ", [{}, {"NO_GCE_CHECK": "true"}])
async def test_no_credentials(environ):
    """A machine that is none of Google's is told so soon, with what to do."""
    with pytest.raises(AuthenticationError, match=r"GOOGLE_APPLICATION_CREDENTIALS.*application-default login"):
        await tokens_of({"GCE_METADATA_IP": "127.0.0.1:1", **environ}).current()


class Another(Listening):
    """The metadata server of another cloud, at the same address."""

    async def _talk(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nlatest")
        await writer.drain()


async def test_another_cloud():
    """Who answers there without Google's header is not asked for tokens."""
    async with Another() as other:
        with pytest.raises(AuthenticationError, match="none of Google's"):
            await tokens_of({"GCE_METADATA_IP": other.address}).current()


async def test_where_a_metadata_server_may_be(server):
    """By the variable anywhere on this link; in clear to another machine it is not asked."""
    for host in ("metadata.test", "192.0.2.1"):
        with pytest.raises(ConfigError, match=r"GCE_METADATA_HOST\) is plain http to another machine"):
            await tokens_of({"GCE_METADATA_HOST": host}).current()


async def test_a_localhost_that_is_elsewhere(resolving):
    """Plain http does not leave this machine."""
    resolving("192.0.2.9")
    with pytest.raises(InsecureTransportError, match="hosts file"):
        await tokens_of({"GCE_METADATA_HOST": "localhost:8080"}).current()


# -- a metadata server that is not ready


async def test_not_ready_yet(server, connected):
    """It is asked again in the thread: whoever waits gets a token when there is one."""
    server.faults.status("UNAVAILABLE", method="metadata", times=3)
    connection = await connected(None, machine_of(server))
    connection._tokens._server._patience._sleep = lambda _: None
    assert (await access(connection, server)) == server.identity.default_account


async def test_not_ready_for_long(server, monkeypatch):
    """Whoever waits for longer than patience has is told what for; once it is ready, it is asked no more often."""
    server.faults.status("UNAVAILABLE", method="metadata")
    go_on = threading.Event()
    settings = GoogleSettings(environ=machine_of(server))
    tokens = BearerTokens(settings, Call(SYSTEM, "credentials"), patience=0.2, sleep=lambda _: go_on.wait(10))
    try:
        with pytest.raises(UnavailableError, match=r"waited for.*metadata server does not answer yet.*GKE"):
            await tokens.current()
    finally:
        server.faults.clear()
        go_on.set()
    async with asyncio.timeout(5):
        while True:
            try:
                shown = await tokens.current()
            except UnavailableError:
                continue
            break
    assert shown.project == server.project
    await tokens.aclose()


async def test_not_ready_for_ever(server):
    """After twenty seconds of it the thread ends."""
    server.faults.status("UNAVAILABLE", method="metadata")
    settings = GoogleSettings(environ=machine_of(server))
    tokens = BearerTokens(settings, Call(SYSTEM, "credentials"))
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    patience = tokens._server._patience
    patience._sleep, patience._clock = sleep, lambda: now[0]
    with pytest.raises(UnavailableError, match="HTTP 503"):
        await tokens.current()
    assert 19 <= sum(slept) <= 21


FLAVOR = "Metadata-Flavor: Google\r\n"
METADATA = {
    "404": (AuthenticationError, "404", FLAVOR, "", "no service account"),
    "403": (AccessDeniedError, "403", FLAVOR, "canary", "workloadIdentityUser"),
    "429": (UnavailableError, "429", FLAVOR, "canary", "cannot answer"),
    "nonsense": (ConfigError, "200", FLAVOR, "canary", "universe"),
    "not Google": (MalformedResponseError, "200", "", "{}", "none of Google's"),
}


@pytest.mark.parametrize("what", METADATA)
async def test_a_metadata_server_that_gives_none(what):
    """Each with what to do."""
    error, status, flavor, body, says = METADATA[what]
    answer = f"HTTP/1.1 {status} X\r\n{flavor}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    class Odd(Listening):
        async def _talk(self, reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    async with Odd() as odd:
        tokens = tokens_of({"GCE_METADATA_HOST": odd.address})
        tokens._server._patience._seconds = 0
        with pytest.raises(error, match=says) as caught:
            await tokens.current()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("variable", ["K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "GAE_ENV"])
def test_services_of_googles(variable):
    """What runs there is not asked for its hardware: sandboxes may not show it."""
    assert tokens_of({"GCE_METADATA_IP": "127.0.0.1:1", variable: "app"})._server.is_there()


def test_the_name_of_the_metadata_server():
    """Is not looked up: who answers for it in DNS would give the tokens."""
    environ, asked = {"GCE_METADATA_HOST": "metadata.google.internal"}, []
    server = tokens_of(environ)._server
    server._wire = type("Wire", (), {"environ": environ, "send": lambda self, _, url, *__: asked.append(url)})()
    server._get("/canary")
    assert asked == ["http://169.254.169.254/canary"]


def test_hardware_of_googles(tmp_path, monkeypatch):
    """The name of the product says that this is one of their machines, before anybody listens."""
    (tmp_path / "product_name").write_text("Google Compute Engine\n")
    server = tokens_of({"GCE_METADATA_IP": "127.0.0.1:1"})._server
    assert server.is_there()
    (tmp_path / "product_name").write_text("VMware\n")
    assert not server.is_there()


# -- what is run


@pytest.fixture
def program(server, tmp_path):
    """A file of credentials whose subject a program gives, and the program's answer."""

    def build(answer, *, more="", **executable):
        text = answer if isinstance(answer, str) else json.dumps(answer)
        (tmp_path / "answer").write_text(text)
        script = tmp_path / "give"
        script.write_text(f"#!/bin/sh\n{more}\nenv > {tmp_path}/ran\ncat {tmp_path}/answer\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        source = {"executable": {"command": f"'{script}' --x", "timeout_millis": 5000, **executable}}
        return altered(server.identity.external_account_file("file"), credential_source=source)

    return build


ALLOW = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
JWT = "urn:ietf:params:oauth:token-type:jwt"


def given(server, **more):
    """What such a program writes (https://google.aip.dev/auth/4117)."""
    server.identity.external_account_file("given")
    token = (server.folder / "given.token").read_text()
    return {"version": 1, "success": True, "token_type": JWT, "id_token": token, **more}


async def test_a_program(connected, server, program, tmp_path, monkeypatch):
    """It is run, if programs are allowed in the environment of the process, which it gets."""
    file = program(given(server))
    with pytest.raises(AuthenticationError, match=f"program of credential_source is not run: set {ALLOW}=1"):
        await access(await connected(file), server)
    assert not (tmp_path / "ran").exists()
    monkeypatch.setenv(ALLOW, "1")
    assert (await access(await connected(file), server)).endswith("subject/given")
    environ = (tmp_path / "ran").read_text()
    assert f"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE={JWT}\n" in environ
    assert "IMPERSONATED_EMAIL" not in environ
    altered(file, service_account_impersonation_url=server.identity.impersonation_url(ACCOUNT))
    assert (await access(await connected(file), server)) == ACCOUNT
    assert f"GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL={ACCOUNT}\n" in (tmp_path / "ran").read_text()


@pytest.fixture
def ours():
    """What is written into our standard input."""
    before, (reading, writing) = os.dup(0), os.pipe()
    os.dup2(reading, 0)
    with os.fdopen(writing, "w") as into:
        yield into
    os.dup2(before, 0)
    os.close(before)
    os.close(reading)


async def test_what_a_program_reads_and_complains_of(connected, server, program, monkeypatch, ours):
    """What is piped to us may be a secret, and is not its; its complaints are no part of its answer."""
    monkeypatch.setenv(ALLOW, "1")
    ours.write("canary\n")
    ours.flush()
    file = program(given(server), more="read x && exit 4\necho canary: deprecated >&2")
    assert (await access(await connected(file), server)).endswith("subject/given")


@pytest.mark.parametrize(
    ("kept", "runs"),
    [({"expiration_time": 4e9}, False), ({"expiration_time": 1}, True), ({}, True), ("canary", True), (None, True)],
)
async def test_what_a_program_has_kept(connected, server, program, tmp_path, monkeypatch, kept, runs):
    """Its output file is believed until what is in there ends, and if it says so."""
    monkeypatch.setenv(ALLOW, "1")
    file = program(given(server), output_file=str(tmp_path / "kept"))
    if kept is not None:
        (tmp_path / "kept").write_text(kept if isinstance(kept, str) else json.dumps(given(server, **kept)))
    assert (await access(await connected(file), server)).endswith("subject/given")
    assert (tmp_path / "ran").exists() == runs


async def test_a_program_that_only_keeps(connected, server, program, tmp_path, monkeypatch):
    """Its answer is where it was told to keep it."""
    monkeypatch.setenv(ALLOW, "1")
    (tmp_path / "new").write_text(json.dumps(given(server)))
    more = f'cp {tmp_path}/new "$GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE"'
    file = program("", more=more, output_file=str(tmp_path / "kept"))
    assert (await access(await connected(file), server)).endswith("subject/given")


PROGRAMS = {
    "no JSON": ("canary", "", "makes no sense"),
    "no token": ('{"version": 1, "success": true}', "", "makes no sense"),
    "no success": ('{"version": 1, "success": false, "code": "1", "message": "canary"}', "", "says that it gives no"),
    "expired": ('{"success": true, "id_token": "canary", "expiration_time": 5}', "", "a token that has ended"),
    "failed": ("canary", "echo canary; exit 3", r"failed \(exit 3\)"),
}


@pytest.mark.parametrize("what", PROGRAMS)
async def test_a_program_that_gives_none(connected, server, program, monkeypatch, what):
    """It is said so, and nothing that it wrote."""
    monkeypatch.setenv(ALLOW, "1")
    answer, more, says = PROGRAMS[what]
    with pytest.raises(AuthenticationError, match=f"the program of credential_source .*{says}") as caught:
        await access(await connected(program(answer, more=more)), server)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("given", "seconds"), [(1, 5), (7000, 7), (10**9, 120), (None, 30)])
async def test_how_long_a_program_may_take(connected, server, program, monkeypatch, given, seconds):
    """Between five seconds and two minutes (https://google.aip.dev/auth/4117), and half a minute if nobody says."""
    monkeypatch.setenv(ALLOW, "1")
    asked = []

    def run(command, environ, limit):
        asked.append(limit)
        raise ProgramError("did not end")

    monkeypatch.setattr("asyncsecrets.providers.google.workloads.output_of", run)
    with pytest.raises(AuthenticationError, match="the program of credential_source did not end"):
        await access(await connected(program("", timeout_millis=given)), server)
    assert set(asked) == {seconds}


async def test_a_program_that_is_not_there(connected, server, monkeypatch):
    """That is said, too."""
    monkeypatch.setenv(ALLOW, "1")
    source = {"executable": {"command": "/nowhere/canary"}}
    file = altered(server.identity.external_account_file(), credential_source=source)
    with pytest.raises(AuthenticationError, match="is not there") as caught:
        await access(await connected(file), server)
    assert "canary" not in str(caught.value)


# -- subjects in files, behind URLs, and at AWS


async def test_a_subject_in_a_document(connected, server):
    """The format says where in a document it is."""
    file = server.identity.external_account_file("doc")
    info = json.loads(file.read_text())
    token = Path(info["credential_source"]["file"])
    token.write_text(json.dumps({"inside": token.read_text()}) + "\n")
    info["credential_source"]["format"] = {"type": "json", "subject_token_field_name": "inside"}
    file.write_text(json.dumps(info))
    assert (await access(await connected(file), server)).endswith("subject/doc")
    token.unlink()
    with pytest.raises(AuthenticationError, match=r"the file .*doc\.token' of credential_source cannot be read"):
        await access(await connected(file), server)


async def test_a_subject_as_files_have_it(connected, server):
    """With a line break at its end, and, as it is rewritten, another one each time."""
    file = server.identity.external_account_file("line")
    token = server.folder / "line.token"
    token.write_text(f"\ufeff{token.read_text()}\r\n")
    assert (await access(await connected(file), server)).endswith("subject/line")
    for text, says in {"": "is empty", "canary canary": "a blank", '{"a": "canary"}': "holds JSON"}.items():
        token.write_text(text)
        with pytest.raises(AuthenticationError, match=rf"line\.token' of credential_source .*{says}") as caught:
            await access(await connected(file), server)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["canary", '["canary"]', "{}", "[" * 50_000])
async def test_a_document_without_the_subject(connected, server, text):
    """Where format says that it is, there is none."""
    file = server.identity.external_account_file("doc")
    form = {"type": "json", "subject_token_field_name": "inside"}
    altered(file, credential_source={"file": str(server.folder / "doc.token"), "format": form})
    (server.folder / "doc.token").write_text(text)
    with pytest.raises(AuthenticationError, match="has no token where format says") as caught:
        await access(await connected(file), server)
    assert "canary" not in str(caught.value)


async def test_a_url_that_gives_none(connected, server):
    """Its status is told, and not what it says."""
    file = server.identity.external_account_file(source="url")
    server.faults.status("PERMISSION_DENIED", "canary", method="subject")
    with pytest.raises(AuthenticationError, match=r"url of credential_source gives no token \(HTTP 403\)") as caught:
        await access(await connected(file), server)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


class Exchange(Listening):
    """A token endpoint, and AWS's metadata service; `heard` is what they were asked."""

    def __init__(self):
        self.heard = []

    async def _talk(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(head.lower().partition("content-length:")[2].split("\r")[0] or 0)
        body = await reader.readexactly(size)
        method, path = head.split(" ")[:2]
        self.heard.append((method, path, body.decode()))
        keys = {"AccessKeyId": "AKIAcanary", "SecretAccessKey": "canary", "Token": "canary"}
        answer = {
            "/token": "imds-canary",
            "/region": "eu-central-1b",
            "/keys": "role",
            "/keys/role": json.dumps(keys),
            "/exchange": '{"access_token": "ya29.canary", "expires_in": 3600}',
        }[path].encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()


AWS = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "canary", "AWS_REGION": "us-east-1"}


@pytest.mark.parametrize("environ", [AWS, {}])
async def test_a_workload_at_aws(tmp_path, environ, monkeypatch):
    """Its keys are those of the process's environment, or of the machine there; STS is asked by Google."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    async with Exchange() as exchange:
        source = {
            "environment_id": "aws1",
            "regional_cred_verification_url": "https://sts.{region}.amazonaws.com.cn?Action=GetCallerIdentity",
            "region_url": f"{exchange.url}/region",
            "url": f"{exchange.url}/keys",
            "imdsv2_session_token_url": f"{exchange.url}/token",
        }
        info = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/x",
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": f"{exchange.url}/exchange",
            "credential_source": source,
        }
        (tmp_path / "aws.json").write_text(json.dumps(info))
        tokens = tokens_of({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "aws.json")})
        shown = await tokens.current()
        assert dict(shown.headers.reveal())["authorization"] == "Bearer ya29.canary"
        await tokens.aclose()
    method, path, body = exchange.heard[-1]
    assert (method, path) == ("POST", "/exchange")
    region, key = ("us-east-1", "AKIAENV") if environ else ("eu-central-1", "AKIAcanary")
    assert f"sts.{region}.amazonaws.com.cn" in body
    assert key in body
    assert (len(exchange.heard) == 1) == bool(environ)


async def test_a_workload_at_aws_that_is_refused(server, monkeypatch):
    """What AWS's metadata service says is in google-auth's error, and not in ours."""
    for name in AWS:
        monkeypatch.delenv(name, raising=False)
    server.faults.status("PERMISSION_DENIED", "canary", method="subject")
    file = server.identity.external_account_file(source="url")
    url = json.loads(file.read_text())["credential_source"]["url"]
    source = {"environment_id": "aws1", "regional_cred_verification_url": "https://sts.{region}.amazonaws.com"}
    aws = {"subject_token_type": "urn:ietf:params:aws:token-type:aws4_request"}
    altered(file, **aws, credential_source={**source, "region_url": url, "url": url})
    with pytest.raises(AuthenticationError, match=r"what gives them refuses") as caught:
        await tokens_of({"GOOGLE_APPLICATION_CREDENTIALS": str(file)}).current()
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert server.count("subject") == 1


# -- tokens do not show themselves


def test_what_is_shown_does_not_show_itself():
    """Neither by repr nor by its attributes' reprs; it is compared by what it shows."""
    headers = ("authorization", "Bearer canary"), ("x-goog-user-project", "quota")
    shown = Shown(Credential(headers), "project")
    assert "canary" not in repr(shown)
    assert "canary" not in repr([getattr(shown, name) for name in Shown.__slots__])
    assert shown == Shown(Credential(headers))
    assert shown != Shown(Credential(headers[:1]))


@pytest.mark.parametrize("token", ["", "canary\r\nX-Evil: 1", "canary canary", '"canary"', "c\u00e4nary"])
async def test_a_token_that_is_none(server, token):
    """What would break a header, or is no token, is not shown to Google."""
    settings = GoogleSettings(credentials_file=str(server.identity.service_account_file()))
    tokens = BearerTokens(settings, Call(SYSTEM, "credentials"))

    class Odd:
        universe_domain, expiry = "googleapis.com", None

        def refresh(self, _):
            self.token = token

    found = tokens._find()
    found.credentials = Odd()
    tokens._find = lambda: found
    with pytest.raises(AuthenticationError, match="the access token") as caught:
        await tokens.current()
    assert "canary" not in str(caught.value)


async def test_renewed_ahead(server):
    """Nobody waits: a token is renewed before its end; one that the metadata server keeps, when it gives another."""
    now = [datetime.now(UTC)]
    for file, seconds in ((server.identity.authorized_user_file(token_uri=server.token_uri), 2800), (None, 3400)):
        now[0] = datetime.now(UTC)
        settings = GoogleSettings(credentials_file=str(file or ""), environ=machine_of(server))
        tokens = BearerTokens(settings, Call(SYSTEM, "credentials"), now=lambda: now[0])
        first = await tokens.current()
        before, start = len(server.requests), now[0]
        now[0] = start.fromtimestamp(start.timestamp() + seconds - 150, UTC)
        tokens._tried -= 3600
        assert await tokens.current() is first
        assert tokens._renewal is None
        assert len(server.requests) == before
        now[0] = start.fromtimestamp(start.timestamp() + seconds, UTC)
        tokens._tried -= 3600
        assert await tokens.current() is first
        async with asyncio.timeout(5):
            await asyncio.wait({tokens._renewal})
        assert (await tokens.current()) != first
        await tokens.aclose()
