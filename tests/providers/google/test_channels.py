"""Channels: of one loop and one process, replaced when nobody answers on them, closed by us, and quiet."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import trustme
from google.cloud.secretmanager_v1 import AccessSecretVersionRequest, AddSecretVersionRequest, SecretPayload

from asyncsecrets.errors import (
    AccessDeniedError,
    ClosedError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.google import channels
from asyncsecrets.providers.google.channels import Channels
from asyncsecrets.providers.google.connection import Connection
from asyncsecrets.providers.google.errors import Call
from asyncsecrets.providers.google.services import SECRET_MANAGER
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.sending import followed
from asyncsecrets.testing.google_server import GoogleServer
from tests.canaries import CANARY
from tests.providers.google.conftest import settings_at
from tests.providers.listening import Listening
from tests.providers.tunnel import Tunnel, refusal

SYSTEM = "google_secret_manager"
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def connected(google):
    """Make open connections to the fake, which has the secret NAME."""
    google.add("NAME", "canary")
    made = []

    async def build(environ=None, server=google, **more):
        settings = GoogleSettings.from_mapping(SYSTEM, {**settings_at(server), **more}, environ or {})
        connection = Connection(SECRET_MANAGER, SYSTEM, settings)
        await connection.open()
        made.append(connection)
        return connection

    yield build
    for connection in made:
        await connection.aclose()


async def access(connection, project="example-project"):
    """Read NAME."""
    name = f"projects/{project}/secrets/NAME/versions/latest"
    request = AccessSecretVersionRequest(name=name)
    answer = await connection.call(Call(SYSTEM, "AccessSecretVersion", "NAME", f"name={name}"), request)
    return bytes(answer.payload.data)


async def add(connection, project="example-project"):
    """Write NAME; how many requests may have been applied?"""
    parent = f"projects/{project}/secrets/NAME"
    request = AddSecretVersionRequest(parent=parent, payload=SecretPayload(data=b"canary-new"))
    with followed() as sending:
        try:
            await connection.call(Call(SYSTEM, "AddSecretVersion", "NAME", f"parent={parent}"), request)
        finally:
            add.sent = sending.requests


def lines(connection):
    """The channels that there are."""
    return list(connection._channels._lines.values())


# -- death and return


async def test_a_silent_channel_is_replaced(google, connected):
    """What forgot a connection says nothing: the call that noticed is the last on that channel."""
    connection = await connected(attempt_timeout="0.3")
    await access(connection)
    (first,) = lines(connection)
    google.fall_silent()
    with pytest.raises(UnavailableError, match="in time"):
        await access(connection)
    assert lines(connection) == []
    assert await access(connection) == b"canary"
    assert lines(connection) != [first]


async def test_a_slow_answer_replaces_no_channel(google, connected):
    """Where others are answered meanwhile, it is not the connection that is lost."""
    connection = await connected(attempt_timeout="0.5")
    google.faults.hang(method="AddSecretVersion")

    async def reading():
        for _ in range(20):
            await access(connection)
            await asyncio.sleep(0.01)

    reader = asyncio.create_task(reading())
    await access(connection)
    (first,) = lines(connection)
    with pytest.raises(UnavailableError):
        await add(connection)
    await reader
    assert lines(connection) == [first]


async def test_a_refusal_replaces_no_channel(google, connected):
    """Who says that there is no such secret is there."""
    connection = await connected(attempt_timeout="0.5")
    await access(connection)
    (first,) = lines(connection)
    google.faults.hang(method="AddSecretVersion")
    writer = asyncio.create_task(add(connection))
    while not google.count("AddSecretVersion"):
        await asyncio.sleep(0.01)
    with pytest.raises(AccessDeniedError):
        await access(connection, "another-project")
    with pytest.raises(UnavailableError):
        await writer
    assert lines(connection) == [first]


async def test_an_answer_of_any_length(google, connected, monkeypatch):
    """Is not taken in. A page of 400 secrets with 16 KiB of annotations each is less than 8 MiB."""
    monkeypatch.setattr("asyncsecrets.testing.google_server.secret_manager._MAX_SIZE", 20_000_000)
    connection = await connected()
    google.add("NAME", "canary" * 1_000_000)
    assert len(await access(connection)) == 6_000_000
    google.add("NAME", "canary" * 2_000_000)
    with pytest.raises(MalformedResponseError, match="too large"):
        await access(connection)


def test_what_load_balancers_and_google_take():
    """What is idle for four minutes is forgotten without a word; pings that come too often end a connection; and the
    only retries are ours."""
    options = dict(channels._OPTIONS)
    assert options["grpc.client_idle_timeout_ms"] < 4 * 60 * 1000
    assert options["grpc.keepalive_time_ms"] >= 30_000
    assert not options["grpc.keepalive_permit_without_calls"]
    assert not options["grpc.enable_retries"]


async def test_death_and_return(google, connected):
    """While the server is away nothing is sent, and a write is certain not to have been applied; then it goes on."""
    connection = await connected()
    await access(connection)
    await google.stop()
    for _ in range(3):
        with pytest.raises(UnavailableError) as caught:
            await add(connection)
    assert "cannot be reached" in str(caught.value)
    assert add.sent == 0
    assert not caught.value.outcome_unknown
    await google.start()
    assert await access(connection) == b"canary"


async def test_a_connection_that_breaks_within_a_write(google, connected):
    """Nobody knows what became of it."""
    connection = await connected()
    await access(connection)
    google.faults.drop(method="AddSecretVersion")
    with pytest.raises(UnavailableError) as caught:
        await add(connection)
    assert caught.value.outcome_unknown
    assert add.sent == 1
    assert lines(connection) == []
    google.faults.clear()
    assert await access(connection) == b"canary"


@pytest.mark.parametrize(
    ("endpoint", "says"), [("https://nowhere.invalid", "DNS"), ("https://127.0.0.1:1", "cannot be reached")]
)
async def test_nobody_is_there(connected, endpoint, says):
    """It is said why, and the next attempt begins anew: gRPC would wait for minutes."""
    connection = await connected(google_endpoint=endpoint)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=says):
            await add(connection)
        assert add.sent == 0
        assert lines(connection) == []


class Mute(Listening):
    """Takes connections, and says nothing."""

    async def _talk(self, reader, writer):
        await asyncio.sleep(3600)


async def test_connecting_has_a_limit_of_its_own(connected):
    """TLS and HTTP/2 that do not come about count to connect_timeout: nothing was sent by then."""
    async with Mute() as mute:
        connection = await connected(
            google_endpoint=f"https://{mute.address}", connect_timeout="0.3", attempt_timeout="20"
        )
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await add(connection)
    assert add.sent == 0


async def test_no_more_at_once_than_are_wanted(google, connected):
    """Waiting for one's turn is no part of the attempt."""
    connection = await connected(max_connections="2", attempt_timeout="1")
    at_work, most = 0, 0
    google.faults.delay(0.2, method="AccessSecretVersion")
    before = google.count("AccessSecretVersion")
    calls = [asyncio.create_task(access(connection)) for _ in range(12)]
    while not all(call.done() for call in calls):
        at_work = google.count("AccessSecretVersion") - before - sum(call.done() for call in calls)
        most = max(most, at_work)
        await asyncio.sleep(0.005)
    assert [call.result() for call in calls] == [b"canary"] * 12
    assert most <= 4  # two, and two whose answers are on their way


# -- close


async def test_closed_while_calls_are_under_way(google, connected):
    """They are told so. gRPC cancels their tasks, which nobody has cancelled."""
    connection = await connected()
    google.faults.hang()
    calls = [asyncio.create_task(access(connection)) for _ in range(3)]
    while google.count("AccessSecretVersion") < 3:
        await asyncio.sleep(0.01)
    await connection.aclose()
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, ClosedError)


async def test_cancelled_as_it_is_closed(google, connected):
    """Who has cancelled his task gets what he asked for."""
    connection = await connected()
    google.faults.hang()
    call = asyncio.create_task(access(connection))
    while not google.count("AccessSecretVersion"):
        await asyncio.sleep(0.01)
    closing = asyncio.create_task(connection.aclose())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await closing


async def test_a_call_that_is_cancelled(google, connected):
    """Its task ends as cancelled, its call at the server too, and the channel is good for others."""
    connection = await connected()
    await access(connection)
    google.faults.hang(times=1)
    call = asyncio.create_task(access(connection))
    while google.count("AccessSecretVersion") < 2:
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await access(connection) == b"canary"
    assert len(lines(connection)) == 1


# -- where to


@pytest.fixture
def made(monkeypatch):
    """The channels that are made: target and options."""
    made, real = [], grpc.aio.insecure_channel

    def make(target, credentials=None, options=()):
        made.append((target, dict(options)))
        return real(target, options=options)

    monkeypatch.setattr(grpc.aio, "secure_channel", make)
    monkeypatch.setattr(grpc.aio, "insecure_channel", make)
    return made


@pytest.mark.parametrize(
    ("settings", "location", "target"),
    [
        ({}, "", "secretmanager.googleapis.com"),
        ({}, "europe-west3", "secretmanager.europe-west3.rep.googleapis.com"),
        ({"universe_domain": "example.test"}, "", "secretmanager.example.test"),
        ({"endpoint": "here.test:8443"}, "", "here.test:8443"),
        ({"endpoint": "https://here.test:8443"}, "europe-west3", "here.test:8443"),
        ({"endpoint": "[::1]:8443"}, "", "[::1]:8443"),
    ],
)
async def test_where_to(made, settings, location, target):
    """Google's address by location and universe, or the one that is set."""
    opened = Channels(SECRET_MANAGER, GoogleSettings(**settings))
    opened._new(location)
    assert [where for where, _ in made] == [target]
    await opened.aclose()


@pytest.mark.parametrize(
    ("environ", "endpoint", "proxy"),
    [
        ({"https_proxy": "http://proxy.test:3128"}, "", "http://proxy.test:3128"),
        ({"HTTPS_PROXY": "http://user:p%40ss@proxy.test"}, "", "http://user:p%40ss@proxy.test"),
        ({"https_proxy": "http://proxy.test:3128", "no_proxy": "googleapis.com"}, "", None),
        ({"https_proxy": "http://proxy.test:3128", "no_proxy": "10.0.0.0/8"}, "https://10.1.2.3:443", None),
        ({"https_proxy": "http://proxy.test:3128"}, "https://localhost:1", None),
        ({"https_proxy": "http://proxy.test:3128"}, "https://[::1]:1", None),
        ({"http_proxy": "http://proxy.test:3128"}, "", None),
        ({"https_proxy": "http://proxy.test:3128"}, "http://10.1.2.3:80", None),
    ],
)
async def test_which_proxy(made, environ, endpoint, proxy):
    """That of the source's environment for https, by NO_PROXY as everywhere here, and none to this machine."""
    settings = GoogleSettings(environ=environ, endpoint=endpoint, allow_insecure_http=True)
    opened = Channels(SECRET_MANAGER, settings)
    opened._new("")
    assert made[0][1].get("grpc.http_proxy") == proxy
    assert made[0][1].get("grpc.enable_http_proxy") == (None if proxy else 0)
    await opened.aclose()


async def test_a_proxy_is_told_where_to(connected):
    """It carries TLS, and hears the host and nothing else."""
    async with GoogleServer(tls=True) as server, Tunnel(int(server.endpoint.rpartition(":")[2])) as tunnel:
        connection = await connected({"https_proxy": tunnel.url}, server, google_endpoint="https://google.test:443")
        with pytest.raises(
            InsecureTransportError, match="another host name"
        ):  # the fake's certificate is for localhost
            await access(connection)
    assert set(tunnel.targets) == {"google.test:443"}
    assert CANARY.encode() not in tunnel.carried


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (refusal(407), ConfigError, "wants a user and password"),
        (refusal(403), ConfigError, "refuses to connect to Google"),
        (refusal(502), UnavailableError, "cannot connect to Google"),
        (None, UnavailableError, "cannot be reached"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel(connected, answer, kind, says):
    """It is told which proxy, and what it said; nothing was sent to Google."""
    async with Tunnel(answer=answer) as tunnel:
        connection = await connected({"https_proxy": tunnel.url}, google_endpoint="https://google.test:443")
        with pytest.raises(kind, match=says) as caught:
            await add(connection)
    assert f"the proxy {tunnel.url} (https_proxy)" in str(caught.value)
    assert add.sent == 0


async def test_a_proxy_that_grpc_does_not_speak_to(connected):
    """It would go without one, and say so on stderr."""
    connection = await connected({"https_proxy": "https://proxy.test"}, google_endpoint="https://google.test:443")
    with pytest.raises(ConfigError, match="http:// proxies alone"):
        await add(connection)
    assert add.sent == 0


async def test_plain_http_knows_no_proxy(google, connected, monkeypatch):
    """gRPC itself would ask the process's http_proxy."""
    for name in ("http_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await access(await connected()) == b"canary"


async def test_plain_http_to_a_localhost_that_is_elsewhere(google, resolving):
    """Nothing is sent there."""
    resolving("192.0.2.1")
    settings = GoogleSettings(endpoint="http://localhost:8080", auth_method="none")
    with pytest.raises(InsecureTransportError, match="hosts file"):
        await Connection(SECRET_MANAGER, SYSTEM, settings).open()


# -- TLS


async def test_tls(guarded, connected, tmp_path):
    """Whom google_ca_cert trusts, a file or a directory, and nobody else."""
    guarded.add("NAME", "canary")
    file = guarded.identity.service_account_file()
    by_file = {"server": guarded, **settings_at(guarded, file)}
    assert await access(await connected(**by_file)) == b"canary"
    (tmp_path / "cas").mkdir()
    (tmp_path / "cas/ca.pem").write_bytes(Path(guarded.ca_file).read_bytes())
    assert await access(await connected(**{**by_file, "google_ca_cert": str(tmp_path / "cas")})) == b"canary"
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with pytest.raises(InsecureTransportError, match="google_ca_cert"):
        await access(await connected(**{**by_file, "google_ca_cert": str(tmp_path / "other.pem")}))
    (tmp_path / "none.pem").write_text("canary")
    with pytest.raises(ConfigError, match="GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
        await connected(**{**by_file, "google_ca_cert": str(tmp_path / "none.pem")})


async def test_tls_where_none_is_spoken(google, connected):
    """And the other way round, it is said that TLS failed or that nobody can be reached, before anything is sent."""
    with pytest.raises(InsecureTransportError, match="is TLS spoken"):
        await access(await connected(google_endpoint=f"https://{google.endpoint}"))


# -- nothing shows


def test_answers_do_not_show(google_in_thread):
    """gRPC keeps what was answered as results of tasks: what these show, to the last character, is not the answer."""
    server, tasks = google_in_thread, []

    def make(loop, work, **options):
        tasks.append(asyncio.Task(work, loop=loop, **options))
        return tasks[-1]

    async def main():
        asyncio.get_running_loop().set_task_factory(make)
        settings = GoogleSettings.from_mapping(SYSTEM, settings_at(server), {})
        connection = Connection(SECRET_MANAGER, SYSTEM, settings)
        await connection.open()
        assert await access(connection) == b"canary"
        await connection.aclose()

    asyncio.run(main())
    results = [repr(task.result()) for task in tasks if task.done() and not task.cancelled() and not task.exception()]
    assert any("*" in result for result in results)
    assert not any(CANARY in result for result in results)


@pytest.fixture
def google_in_thread():
    """A fake on a loop of its own."""
    with GoogleServer.in_thread() as server:
        server.add("NAME", "canary")
        yield server


class Everything(logging.Handler):
    """What a formatter of JSON writes: each attribute of each record."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []

    def emit(self, record):
        self.lines.append(json.dumps({**record.__dict__, "text": record.getMessage()}, default=repr))


async def test_nothing_is_logged(guarded, connected):
    """With every logger at DEBUG, also those that Google's clients keep apart, and those made since."""
    everything, loggers = Everything(), [logging.getLogger(name) for name in ("", "google", "grpc", "urllib3")]
    guarded.add("NAME", "canary")
    file = guarded.identity.authorized_user_file(token_uri=guarded.token_uri)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(everything)
        logger.setLevel(logging.DEBUG)
    try:
        connection = await connected(server=guarded, **settings_at(guarded, file))
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        logging.getLogger("google.cloud.secretmanager_v1.more").setLevel(logging.DEBUG)
        await access(connection)
        await add(connection)
        guarded.faults.corrupt("garbage", times=1)
        with pytest.raises(MalformedResponseError):
            await access(connection)
        await connection.aclose()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(everything)
            logger.setLevel(level)
    told = "\n".join(everything.lines)
    assert everything.lines
    assert CANARY not in told
    assert "Bearer" not in told
    assert "deserializing" not in told


async def test_the_logger_of_the_transport_is_not_asked(connected):
    """It would cost each call a task more, and log payloads."""
    connection = await connected()
    await access(connection)
    (line,) = lines(connection)
    assert line.channel._unary_unary_interceptors == []


# -- loops, threads and processes

PROGRAM = """
import asyncio, json, os, sys, threading
from asyncsecrets.providers.google.connection import Connection
from asyncsecrets.providers.google.errors import Call
from asyncsecrets.providers.google.services import SECRET_MANAGER
from asyncsecrets.providers.google.settings import GoogleSettings
from google.cloud.secretmanager_v1 import AccessSecretVersionRequest, GetSecretRequest

SETTINGS = json.loads(sys.argv[1])
SYSTEM = "google_secret_manager"
NAME = "projects/example-project/secrets/NAME"

def new():
    settings = GoogleSettings.from_mapping("google_secret_manager", SETTINGS, {})
    return Connection(SECRET_MANAGER, "google_secret_manager", settings)

async def read(connection):
    request = AccessSecretVersionRequest(name=NAME + "/versions/latest")
    answer = await connection.call(Call(SYSTEM, "AccessSecretVersion", "NAME", "name=" + NAME), request)
    assert len(answer.payload.data) == 6

async def hang(connection):
    await connection.call(Call(SYSTEM, "GetSecret", "NAME", "name=" + NAME), GetSecretRequest(name=NAME))

def fork(connection, may_abort=False):
    '''Have a child read, and tell how it went: "read", or the class of the error.'''
    ours, its = os.pipe()
    child = os.fork()
    if child:
        os.close(its)
        told = os.read(ours, 100).decode()
        os.close(ours)
        assert os.waitpid(child, 0)[1] & 0x7f in ({0, 6, 11} if may_abort else {0})
        return told
    try:
        asyncio._set_running_loop(None)
        asyncio.run(asyncio.wait_for(inherited(connection), 20))
        os.write(its, b"read")
    except BaseException as error:
        os.write(its, type(error).__name__.encode())
    os._exit(0)

async def inherited(connection):
    connection.abandon()
    await connection.open()
    await read(connection)
    await connection.aclose()
"""

CASES = {
    "loops": """
connection = new()
async def main(closes):
    connection.abandon() if not closes else None
    await connection.open()
    await read(connection)
    await connection.aclose() if closes else None
for _ in range(100):
    asyncio.run(main(True))
for _ in range(20):
    asyncio.run(main(False))
""",
    "threads": """
async def main():
    connection = new()
    await connection.open()
    for _ in range(30):
        await asyncio.gather(*(read(connection) for _ in range(5)))
    await connection.aclose()
threads = [threading.Thread(target=asyncio.run, args=[main()]) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
""",
    "uvloop": """
import uvloop
async def main():
    connection = new()
    await connection.open()
    await asyncio.gather(*(read(connection) for _ in range(50)))
    await connection.aclose()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
""",
    "logs": """
import logging
async def main():
    connection = new()
    await connection.open()
    await read(connection)
    await connection.aclose()
asyncio.run(main())
assert not logging.getLogger("google").propagate  # payloads of other clients' of Google go nowhere, as before
""",
    "forks": """
async def main():
    connection = new()
    await connection.open()
    for _ in range(8):
        await read(connection)
        told = fork(connection)
        assert told == "read", told
    await connection.aclose()
asyncio.run(main())
""",
    "none left": """
from pathlib import Path
async def main():
    connection = new()
    await connection.open()
    await read(connection)
    await connection.aclose()
    return fork(connection)
for _ in range(3):
    told = asyncio.run(main())
    assert told == "read", told
# Or who forks as it ends could leave its child a lock that nobody releases: gRPC does not end with the last channel.
names = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
assert not names or [name for name in names if name.startswith("grpc")], names
""",
}

UNDER_WAY = """
async def main():
    connection = new()
    await connection.open()
    await read(connection)
    call = asyncio.create_task(hang(connection))
    await asyncio.sleep(0.2)
    told = fork(connection, may_abort=True)
    assert told in {"UnsupportedOperationError", ""}, told
    await read(connection)  # the parent goes on
    (result,) = await asyncio.gather(call, return_exceptions=True)
    assert type(result).__name__ == "UnavailableError", result
    await read(connection)
    told = fork(connection)
    alone = os.environ.get("GRPC_ENABLE_FORK_SUPPORT") == "0"
    assert told == ("UnsupportedOperationError" if alone else "read"), told
    await connection.aclose()
asyncio.run(main())
"""


@pytest.mark.parametrize("case", CASES)
def test_loops_threads_and_processes(google_in_thread, case):
    """Nobody hangs, and nobody complains on stderr."""
    ran = run(google_in_thread, CASES[case])
    assert ran.stderr == ""
    assert ran.returncode == 0


@pytest.mark.parametrize("support", ["", "0"])
def test_a_fork_with_a_call_under_way(google_in_thread, support):
    """The child is told, if gRPC lets it live; the parent goes on.

    Its support of forks aborts one now and then, and another one crashes as it starts its first thread.
    """
    google_in_thread.faults.hang(method="GetSecret")
    ran = run(google_in_thread, UNDER_WAY, support=support)
    assert ran.returncode == 0, ran.stderr


def run(server, case, support=""):
    """Run a program at the fake."""
    settings = {**settings_at(server), "attempt_timeout": "3"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + case, json.dumps(settings)],
        env={**os.environ, "PYTHONASYNCIODEBUG": "", **({"GRPC_ENABLE_FORK_SUPPORT": support} if support else {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_child_of_a_child_that_grpc_does_not_work_in(monkeypatch):
    """Has nothing better to inherit, although no thread of gRPC's was alive at that fork."""
    monkeypatch.setattr(channels, "_inherited", True)
    monkeypatch.setattr(channels, "_polled", False)
    channels._after_fork()
    assert channels._inherited


async def test_a_process_that_grpc_does_not_work_in(connected, monkeypatch):
    """It is said before gRPC is asked, which would wait for ever."""
    connection = await connected()
    monkeypatch.setattr(channels, "_inherited", True)
    with pytest.raises(UnsupportedOperationError, match="forked while a call"):
        await access(connection)
