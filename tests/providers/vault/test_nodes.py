"""A list of nodes: which one is asked when another cannot be reached, what is never sent twice, and what is logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl

import aiohttp
import pytest
import trustme
from aiohttp.client_reqrep import ConnectionKey

from asyncsecrets.errors import ConflictError, SecretNotFoundError, UnavailableError
from asyncsecrets.providers.vault.calls import Answer
from asyncsecrets.providers.vault.failures import hung_up
from asyncsecrets.providers.vault.http import _did_nothing, _Failure, _reach, _was_connected
from asyncsecrets.providers.vault.nodes import Nodes
from asyncsecrets.testing.vault_server import VaultServer

from .raw import RawServer, answer, document, mount, secret
from .test_errors import texts
from .test_tls import serving

KEY = ConnectionKey("h", 1, True, True, None, None, None)
TOKEN = "canary-token-9d2a"


class Bench:
    """Three nodes and a clock."""

    def __init__(self, *origins):
        self.now = 100.0
        self.nodes = Nodes(origins or ("a", "b", "c"), lambda: self.now)

    def chosen(self, seconds):
        """Which node is asked after some time, by two calls in a row."""
        self.now += seconds
        return self.nodes.choose(), self.nodes.choose()


def test_a_node_that_failed_is_left_out_and_tried_again_by_one_call():
    """The wait doubles with every failure in a row, to a minute at most, and ends with the first answer."""
    bench = Bench()
    assert bench.chosen(0) == ("a", "a")
    for wait in (5, 10, 20, 40, 60, 60):
        bench.nodes.failed("a")
        assert bench.chosen(wait - 1) == ("b", "b")
        assert bench.chosen(1) == ("a", "b")
    bench.nodes.served("a")
    assert bench.chosen(0) == ("a", "a")
    bench.nodes.failed("a")
    assert bench.chosen(4) == ("b", "b")
    assert bench.chosen(1) == ("a", "b")


def test_a_node_that_is_gone_for_good_is_tried_every_minute():
    """However often it has failed."""
    bench = Bench("a", "b")
    for _ in range(3_000):
        bench.nodes.failed("a")
    assert bench.chosen(59) == ("b", "b")
    assert bench.chosen(1) == ("a", "b")


def test_a_node_is_tried_once_for_one_call():
    """And one that is left out is not waited for as long as there was any answer at all."""
    nodes = Bench().nodes
    assert nodes.other(("a",)) == "b"
    nodes.failed("c")
    assert nodes.other(("a", "b")) is None
    assert nodes.is_left_out("c")
    assert not nodes.is_left_out("b")


def test_where_all_failed_one_is_tried():
    """The one that was left out first: nobody is told that there is no server because of what was a while ago."""
    bench = Bench("a", "b")
    bench.nodes.failed("b")
    bench.now += 1
    bench.nodes.failed("a")
    assert bench.chosen(0) == ("b", "b")


def test_a_single_node_is_never_left_out():
    """There is nothing else to ask."""
    bench = Bench("a", "a")
    assert not bench.nodes.several
    bench.nodes.failed("a")
    assert bench.chosen(0) == ("a", "a")


def test_a_change_of_node_is_one_line(caplog):
    """Another node is told of when it has answered, and so is the way back."""
    caplog.set_level(logging.INFO, logger="asyncsecrets")
    nodes = Bench().nodes
    for node in ("a", "a", "b", "b", "c", "a", "a"):
        nodes.served(node)
    lines = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert [line[:2] for line in lines] == [("asyncsecrets.node", "INFO")] * 3
    assert "a cannot be reached or cannot serve; b is asked" in lines[0][2]
    assert "b cannot be reached or cannot serve; c is asked" in lines[1][2]
    assert "a answers again" in lines[2][2]


@pytest.mark.parametrize(
    ("error", "reach", "ended"),
    [
        (aiohttp.ClientConnectorError(KEY, OSError(111, "")), "none", False),
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError()), "none", False),
        (aiohttp.ClientConnectorError(KEY, ConnectionResetError()), "none", True),
        (aiohttp.ClientConnectorError(KEY, ConnectionAbortedError()), "none", True),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError()), "none", True),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "")), "none", False),
        (aiohttp.ConnectionTimeoutError(""), "none", False),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError()), "none", True),
        (aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), "none", True),
        (TimeoutError(), "mute", False),
        (aiohttp.SocketTimeoutError(""), "mute", False),
        (aiohttp.ServerDisconnectedError(""), "sent", True),
        (aiohttp.ClientOSError(104, ""), "sent", True),
        (ConnectionResetError(104, ""), "sent", True),
        (aiohttp.ClientPayloadError(""), "sent", False),
        (ValueError(""), "sent", False),
    ],
)
def test_how_far_a_request_came(error, reach, ended):
    """Only what nobody can have taken up may be sent elsewhere. What ``ended`` may be for a certificate's sake."""
    assert (_reach(error), hung_up(error)) == (reach, ended)


@pytest.mark.parametrize(
    ("error", "was"),
    [
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError()), False),
        (aiohttp.ConnectionTimeoutError(""), False),
        (ValueError(""), False),
        (aiohttp.ServerDisconnectedError(""), True),
        (aiohttp.ClientOSError(104, ""), True),
        (aiohttp.ClientPayloadError(""), True),
        (aiohttp.SocketTimeoutError(""), True),
        (TimeoutError(), True),
    ],
)
def test_what_takes_the_idle_connections_with_it(error, was):
    """One that broke or fell silent: the others are as old. Where there was none, they may be good still."""
    assert _was_connected(error) is was


LOST = UnavailableError("", provider="hashicorp_vault")
FAILED = [(_Failure(LOST, reach, hung_up=False), reach == "none") for reach in ("none", "mute", "sent")]
UNDONE = [
    *((status, "", False) for status in (200, 204, 299, 500, 501, 502, 503, 504)),
    *((status, "", True) for status in (300, 301, 308, 400, 403, 404, 412, 429, 472, 473, 499)),
    (503, "Vault is sealed", True),
    (500, "node is not active", True),
]


@pytest.mark.parametrize("unforwarded", [True, False])
def test_what_has_certainly_changed_nothing(unforwarded):
    """What nobody was there to take, or was refused; but a standby that was not told not to may have forwarded it."""
    lost = "no active Vault instance found"
    outcomes = [
        *FAILED,
        *(((Answer(status, texts(text)), ""), nothing) for status, text, nothing in UNDONE),
        ((Answer(307, b""), ""), unforwarded),
        ((Answer(503, texts(lost)), ""), unforwarded),
    ]
    assert [_did_nothing(outcome, unforwarded=unforwarded) for outcome, _ in outcomes] == [done for _, done in outcomes]


@contextlib.asynccontextmanager
async def gone():
    """The address of a server that is not there any more."""
    async with RawServer() as server:
        pass
    yield server.url


async def test_everything_goes_to_the_next_node_while_the_first_is_gone(provider_at, caplog):
    """Reads, writes, lists and logins, and at its return the first one is asked again: two lines tell of it."""
    caplog.set_level(logging.INFO, logger="asyncsecrets")
    now = [0.0]
    async with gone() as first, VaultServer(root_token=TOKEN) as second:
        settings = {"token": TOKEN, "cluster_addrs": (second.url,), "clock": lambda: now[0]}
        async with provider_at(first, **settings) as provider:
            await provider.put("name", "canary-1")
            assert (await provider.get("name")).version == "1"
            assert await provider.list() == ["name"]
            await provider.delete("name")
            assert second.count("POST", "/v1/secret/data/name") == 1
            port = int(first.rpartition(":")[2])
            async with VaultServer(root_token=TOKEN, port=port) as back:
                back.write_secret("other", {"key": "canary-2"})
                with pytest.raises(SecretNotFoundError):
                    await provider.get("other")
                now[0] = 5.0
                assert (await provider.get("other")).version == "1"
                assert (await provider.get("other")).version == "1"
    lines = [record.getMessage() for record in caplog.records if record.name == "asyncsecrets.node"]
    assert len(lines) == 2
    assert f"{first} cannot be reached" in lines[0]
    assert f"{first} answers again" in lines[1]
    assert "canary" not in caplog.text


async def test_a_login_goes_to_the_next_node(provider_at):
    """With its credentials, which are for the cluster and not for one node."""
    async with gone() as first, VaultServer() as second:
        login = {"approle_role_id": "canary-role", "approle_secret_id": "canary-secret"}
        second.call("update", "sys/auth/approle", {"type": "approle"})
        second.call("update", "auth/approle/role/app", {"token_policies": "default"})
        second.call("update", "auth/approle/role/app/role-id", {"role_id": "canary-role"})
        second.call("update", "auth/approle/role/app/custom-secret-id", {"secret_id": "canary-secret"})
        async with provider_at(first, cluster_addrs=(second.url,), **login) as provider:
            with contextlib.suppress(Exception):
                await provider.get("name")
            assert provider.tokens.logins == 1


async def test_a_node_that_is_down_costs_one_call_and_not_all(provider_at, tmp_path):
    """A hundred calls later it has been tried by those that came before anybody knew, and by one in five seconds."""
    authority, connections, now = trustme.CA(), [0], [0.0]
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def refuse(reader, writer):
        connections[0] += 1
        writer.transport.abort()

    async with (
        await asyncio.start_server(refuse, "127.0.0.1", 0) as broken,
        RawServer(ssl=serving(authority, "127.0.0.1")) as node,
    ):
        url = f"https://127.0.0.1:{broken.sockets[0].getsockname()[1]}"
        settings = {"token": TOKEN, "cluster_addrs": (node.url,), "ca_cert": str(tmp_path / "ca.pem")}
        async with provider_at(url, clock=lambda: now[0], **settings) as provider:
            await provider.get("name")
            await asyncio.gather(*(provider.get(f"name{number}") for number in range(100)))
            assert connections == [1]
            now[0] = 5.0
            await asyncio.gather(*(provider.get(f"name{number}") for number in range(100)))
            assert connections == [2]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_write_that_may_have_been_applied_is_not_sent_elsewhere(provider_at, when):
    """A connection that breaks under a write leaves it in doubt, and the other node never sees it."""
    async with VaultServer(root_token=TOKEN) as first, VaultServer(root_token=TOKEN) as second:
        async with provider_at(first.url, token=TOKEN, cluster_addrs=(second.url,)) as provider:
            await provider.list()
            first.faults.reset(when=when, method="POST", times=1)
            with pytest.raises(UnavailableError) as caught:
                await provider.put("name", "canary-1")
            assert caught.value.outcome_unknown
            await provider.put("name", "canary-2")
        assert second.requests == []


async def test_a_write_that_is_not_answered_is_not_sent_elsewhere(provider_at):
    """It may have been applied as well."""
    async with VaultServer(root_token=TOKEN) as first, VaultServer(root_token=TOKEN) as second:
        settings = {"token": TOKEN, "cluster_addrs": (second.url,), "attempt_timeout": 2.0}
        async with provider_at(first.url, **settings) as provider:
            first.faults.hang(method="DELETE", times=1)
            with pytest.raises(UnavailableError) as caught:
                await provider.delete("name")
            assert caught.value.outcome_unknown
            await provider.put("name", "canary-2")
        assert second.requests == []


async def test_a_node_that_says_nothing_is_left_by_the_next_read(provider_at):
    """The read that waited for it fails; whoever comes next does not wait."""
    async with VaultServer(root_token=TOKEN) as first, VaultServer(root_token=TOKEN) as second:
        second.write_secret("name", {"key": "canary-1"})
        first.faults.hang()
        settings = {"token": TOKEN, "cluster_addrs": (second.url,), "attempt_timeout": 1.0}
        async with provider_at(first.url, **settings) as provider:
            with pytest.raises(UnavailableError, match="did not answer in time"):
                await provider.get("name")
            assert (await provider.get("name")).version == "1"


REFUSALS = [
    (503, "Vault is sealed"),
    (500, "local node not active but active cluster node not found"),
    (500, "node not active but active node not found"),
    (500, "Vault is in standby mode"),
    (472, ""),
    (473, ""),
]


@pytest.mark.parametrize(("status", "text"), REFUSALS)
async def test_a_node_that_cannot_serve_has_the_next_one_asked(provider_at, status, text):
    """It has done nothing, so a write is sent to another node as well; where no node can serve, that is the error."""
    async with VaultServer(root_token=TOKEN) as first, VaultServer(root_token=TOKEN) as second:
        first.faults.status(status, text)
        async with provider_at(first.url, token=TOKEN, cluster_addrs=(second.url,)) as provider:
            assert (await provider.put("name", "canary-1")).version == "1"
            assert (await provider.get("name")).version == "1"
            second.faults.status(status, text)
            for call in (lambda: provider.get("name"), lambda: provider.put("name", "canary-2")):
                with pytest.raises(UnavailableError) as caught:
                    await call()
                assert not caught.value.outcome_unknown


async def test_a_standby_that_lost_the_active_node_has_the_next_one_asked(provider_at):
    """For what is read: a write it may have forwarded, which the active node may have applied before it was gone."""
    async with VaultServer(root_token=TOKEN) as first, VaultServer(root_token=TOKEN) as second:
        second.write_secret("name", {"key": "canary-1"})
        async with provider_at(first.url, token=TOKEN, cluster_addrs=(second.url,)) as provider:
            await provider.list()
            first.faults.status(503, "no active Vault instance found")
            assert (await provider.get("name")).version == "1"
        async with provider_at(first.url, token=TOKEN, cluster_addrs=(second.url,)) as provider:
            provider._transport._unforwarded = False
            first.faults.clear()
            await provider.list()
            first.faults.status(503, "no active Vault instance found")
            with pytest.raises(UnavailableError, match="no active node") as caught:
                await provider.put("name", "canary-2")
            assert caught.value.outcome_unknown
        assert second.count("POST", "/v1/secret/data/name") == 0


@contextlib.asynccontextmanager
async def forwarding_in_vain(active):
    """A standby that forwards each write, unless it is told not to, does not get ``active``'s answer, and redirects."""

    def respond(request):
        if request.method == "POST" and "x-vault-no-request-forwarding" not in request.headers:
            active.write_secret("name", {"key": "canary-2"})
        return answer(307, b"", Location=active.url + request.target)

    async with RawServer(respond) as standby:
        yield standby


async def test_a_write_that_a_standby_redirects_may_have_been_forwarded(provider_at):
    """That the active node refuses it then does not say that it was not applied."""
    async with VaultServer(root_token=TOKEN) as active, forwarding_in_vain(active) as standby:
        active.write_secret("name", {"key": "canary-1"})
        async with provider_at(standby.url, token=TOKEN, cluster_addrs=(active.url,)) as provider:
            provider._transport._unforwarded = False
            with pytest.raises(UnavailableError, match="may have forwarded") as caught:
                await provider.put("name", "canary-2", cas="1")
            assert caught.value.outcome_unknown
            assert (await provider.get("name")).version == "2"
            active.faults.status(503, "Vault is sealed", method="POST")
            with pytest.raises(UnavailableError) as caught:
                await provider.put("name", "canary-2", cas="2")
            assert caught.value.outcome_unknown
        async with provider_at(standby.url, token=TOKEN, kv_version=2) as provider:
            provider._mount.verified = True
            with pytest.raises(UnavailableError, match="cluster_addrs") as caught:
                await provider.put("name", "canary-3")
            assert caught.value.outcome_unknown


async def test_a_standby_is_told_not_to_forward_what_it_can_redirect(provider_at):
    """So the active node's answer is the answer, and where it is gone, nothing was written."""
    async with VaultServer(root_token=TOKEN) as active, forwarding_in_vain(active) as standby:
        active.write_secret("name", {"key": "canary-1"})
        async with provider_at(standby.url, token=TOKEN, cluster_addrs=(active.url,)) as provider:
            assert (await provider.put("name", "canary-2", cas="1")).version == "2"
            with pytest.raises(ConflictError):
                await provider.put("name", "canary-3", cas="1")
            await active.aclose()
            with pytest.raises(UnavailableError, match="it was refused") as caught:
                await provider.put("name", "canary-3", cas="2")
            assert not caught.value.outcome_unknown


async def test_a_standby_forwards_to_a_node_that_is_not_in_the_list(provider_at):
    """It is told not to once, and has done nothing then; from then on it is left to it."""
    async with VaultServer(root_token=TOKEN) as active, VaultServer(root_token=TOKEN) as other:
        marks = []

        def respond(request):
            if request.method != "POST":
                return answer(body=mount()) if "mounts" in request.target else answer(404, {"errors": []})
            marks.append(request.headers.get("x-vault-no-request-forwarding"))
            location = active.url + request.target
            return answer(307, b"", Location=location) if marks[-1] else answer(body=document({"version": 1}))

        async with (
            RawServer(respond) as standby,
            provider_at(standby.url, token=TOKEN, cluster_addrs=(other.url,)) as provider,
        ):
            for _ in range(2):
                await provider.put("name", "canary-1")
        assert marks == ["true", None, None]
        assert (active.requests, other.requests) == ([], [])


async def test_a_write_that_is_redirected_to_a_node_that_is_gone_is_in_doubt(provider_at):
    """The standby may have forwarded it before that node was gone."""
    async with (
        gone() as active,
        VaultServer(root_token=TOKEN, standby_for=active) as standby,
        provider_at(standby.url, token=TOKEN, cluster_addrs=(active,)) as provider,
    ):
        provider._mount.verified = True
        provider._transport._unforwarded = False
        for problem in ("it was refused", "could not be reached a moment ago"):
            with pytest.raises(UnavailableError, match=problem) as caught:
                await provider.put("name", "canary")
            assert caught.value.outcome_unknown


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_what_may_have_come_in_the_middle_is_not_made_again(provider_at, status):
    """A failure that says nothing of what was done leaves a write in doubt, and it is not sent to another node."""
    async with VaultServer(root_token=TOKEN) as first, VaultServer(root_token=TOKEN) as second:
        async with provider_at(first.url, token=TOKEN, cluster_addrs=(second.url,)) as provider:
            await provider.list()
            first.faults.status(status, "internal error", when="after")
            with pytest.raises(UnavailableError) as caught:
                await provider.put("name", "canary-1")
            assert caught.value.outcome_unknown
        assert second.requests == []


async def test_an_active_node_that_is_gone_is_not_waited_for_again(provider_at):
    """A standby may send to it for a while yet: that is transient, and the first call is the only one that tries."""
    now = [0.0]
    async with gone() as active, VaultServer(root_token=TOKEN, standby_for=active) as standby:
        settings = {"token": TOKEN, "cluster_addrs": (active,), "clock": lambda: now[0]}
        async with provider_at(standby.url, **settings) as provider:
            with pytest.raises(UnavailableError, match="it was refused"):
                await provider.get("name")
            with pytest.raises(UnavailableError, match="could not be reached a moment ago"):
                await provider.get("name")


async def test_a_redirect_is_no_move(provider_at, caplog):
    """The node of `addr` is asked as before, and nobody is told that it cannot serve."""
    caplog.set_level(logging.INFO, logger="asyncsecrets")
    async with (
        VaultServer(root_token=TOKEN) as active,
        VaultServer(root_token=TOKEN, standby_for=active.url) as standby,
        provider_at(standby.url, token=TOKEN, cluster_addrs=(active.url,)) as provider,
    ):
        await provider.put("name", "canary")
        await provider.get("name")
        with pytest.raises(SecretNotFoundError):
            await provider.get("absent")
    assert [record for record in caplog.records if record.name == "asyncsecrets.node"] == []


async def test_the_token_stays_in_the_list(provider_at):
    """Whatever the nodes say, no other address is sent anything."""
    async with RawServer() as foreign, RawServer() as standby, gone() as first:
        standby.respond = lambda request: answer(307, b"", Location=foreign.url + request.target)
        async with provider_at(first, token=TOKEN, cluster_addrs=(standby.url,)) as provider:
            with pytest.raises(UnavailableError, match="cluster_addrs"):
                await provider.get("name")
            assert standby.requests[0].headers["x-vault-token"] == TOKEN
        assert foreign.received == b""


async def test_a_replica_of_another_node_is_asked_again_there(provider_at):
    """A 412 of the node that stands in is handed on by that node."""
    statuses = iter([412, 200])

    def respond(request):
        if "/sys/internal/" in request.target:
            return answer(body=mount())
        return answer(next(statuses), secret() if request.headers.get("x-vault-inconsistent") else document(None))

    async with gone() as first, RawServer(respond) as second:
        async with provider_at(first, token=TOKEN, cluster_addrs=(second.url,)) as provider:
            assert (await provider.get("name")).version == "1"
        assert len(second.requests) == 2
