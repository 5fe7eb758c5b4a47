"""What a vault refuses with, and what is no answer: each told apart, with what to do, and nothing that anybody said."""

from __future__ import annotations

import json
import socket
import ssl
import traceback

import aiohttp
import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    InsecureTransportError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.providers.azure import errors
from asyncsecrets.providers.azure.answers import Answered, Refusal, retry_after
from asyncsecrets.providers.azure.errors import Call
from asyncsecrets.providers.unanswered import EncodedError, RedirectedError, TooLargeError
from asyncsecrets.providers.wire import Answer
from tests.providers.azure.conftest import SYSTEM, read, write

HOST = "demo.vault.azure.net"
GET, SET, PURGE = (Call(SYSTEM, f"{verb}Secret", "NAME", HOST) for verb in ("Get", "Set", "PurgeDeleted"))


def answered(status, content=b"", **headers):
    """A response as Azure's client gets it."""
    return Answered(Answer(status, headers, content))


def refused(status, code="", inner="", message="canary", **headers):
    """A refusal of a vault's."""
    error = {"code": code, "message": message, **({"innererror": {"code": inner}} if inner else {})}
    return Refusal.of(answered(status, json.dumps({"error": error}).encode(), **headers))


def translate(call, failure):
    """What a refusal means, or a failure."""
    return (errors.refused if isinstance(failure, Refusal) else errors.translate)(call, failure)


REFUSALS = [
    (GET, 401, "Unauthorized", "", AuthenticationError, r"does not accept the token.*AZURE_TENANT_ID"),
    (GET, 403, "Forbidden", "ForbiddenByFirewall", AccessDeniedError, "firewall refuses this machine's address"),
    (GET, 403, "Forbidden", "ForbiddenByConnection", AccessDeniedError, "private endpoint"),
    (GET, 403, "Forbidden", "ForbiddenByRbac", AccessDeniedError, "role 'Key Vault Secrets User'"),
    (SET, 403, "Forbidden", "ForbiddenByRbac", AccessDeniedError, "role 'Key Vault Secrets Officer'.*SetSecret"),
    (PURGE, 403, "Forbidden", "ForbiddenByRbac", AccessDeniedError, "role 'Key Vault Secrets Officer'.*PurgeDeleted"),
    (GET, 403, "Forbidden", "ForbiddenByPolicy", AccessDeniedError, "lacks the secret permission 'get'"),
    (SET, 403, "Forbidden", "AccessDenied", AccessDeniedError, "lacks the secret permission 'set'"),
    (GET, 403, "Forbidden", "SomethingNew", AccessDeniedError, r"refuses GetSecret \(SomethingNew\)"),
    (GET, 404, "SecretNotFound", "", SecretNotFoundError, "no such secret or version"),
    (
        GET,
        404,
        "VaultNotFound",
        "",
        ConfigError,
        "no vault demo.vault.azure.net.*AZURE_KEY_VAULT_URI.*private endpoint",
    ),
    (SET, 409, "Conflict", "ObjectIsBeingDeleted", ConflictError, r"does not allow SetSecret \(ObjectIsBeingDeleted\)"),
    (GET, 400, "BadParameter", "", InvalidNameError, "the name, or another parameter"),
    (GET, 429, "Throttled", "", RateLimitedError, "throttles GetSecret"),
    (SET, 413, "", "", MalformedResponseError, "none of a vault .HTTP 413.*proxies"),
    (GET, 500, "InternalServerError", "", UnavailableError, "HTTP 500"),
    (GET, 408, "", "", UnavailableError, "HTTP 408"),
    (GET, 418, "Teapot", "", MalformedResponseError, r"unknown here \(Teapot\)"),
    (GET, 403, "", "", AccessDeniedError, "a 403 that is not Azure's.*proxies and firewalls"),
    (GET, 404, "", "", MalformedResponseError, "none of a vault.*AZURE_KEY_VAULT_URI"),
    (GET, 401, "", "", AuthenticationError, "asks for no token of Entra ID.*AZURE_KEY_VAULT_URI"),
]


@pytest.mark.parametrize(("call", "status", "code", "inner", "kind", "match"), REFUSALS)
def test_a_refusal(call, status, code, inner, kind, match):
    """By its status and codes; its text goes no further."""
    error = translate(call, refused(status, code, inner))
    assert type(error) is kind
    with pytest.raises(kind, match=match):
        raise error
    assert "canary" not in str(error)
    assert "'NAME'" in str(error)


FAILURES = [
    (RedirectedError(), InsecureTransportError, "does not redirect"),
    (EncodedError(), MalformedResponseError, "compressed"),
    (TooLargeError(), MalformedResponseError, "too large"),
    (ssl.SSLCertVerificationError("canary"), InsecureTransportError, r"azure_ca_cert \(or REQUESTS_CA_BUNDLE\)"),
    (TimeoutError("canary"), UnavailableError, "in time"),
    (ConnectionResetError("canary"), UnavailableError, "broke"),
    (aiohttp.ServerDisconnectedError("canary"), UnavailableError, "broke"),
    (aiohttp.ConnectionTimeoutError("canary"), UnavailableError, "cannot be reached: check azure_key_vault_uri"),
    (ServiceRequestError("canary"), MalformedResponseError, "makes no sense .ServiceRequestError"),
    (ValueError("The challenge resource 'canary' does not match"), InsecureTransportError, "another service"),
    (RecursionError("canary"), MalformedResponseError, "RecursionError"),
    (json.JSONDecodeError("canary", "canary", 0), MalformedResponseError, "JSONDecodeError"),
    (ConfigError("ours"), ConfigError, "ours"),
]


@pytest.mark.parametrize(("failure", "kind", "match"), FAILURES, ids=lambda value: type(value).__name__)
def test_no_answer(failure, kind, match):
    """What fails without an answer that makes sense is told apart too, and quoted as little."""
    error = translate(GET, failure)
    assert type(error) is kind
    with pytest.raises(kind, match=match):
        raise error
    assert "canary" not in str(error)


@pytest.mark.parametrize(("number", "kind"), [(socket.EAI_NONAME, ConfigError), (socket.EAI_AGAIN, UnavailableError)])
def test_a_vault_that_does_not_exist(number, kind):
    """DNS says that there is no such name; where it says nothing, the network may be at fault."""
    key = type("Key", (), {"host": HOST, "port": 443, "ssl": True, "is_ssl": True})()
    error = translate(GET, aiohttp.ClientConnectorDNSError(key, socket.gaierror(number, "canary")))
    assert type(error) is kind
    assert "AZURE_KEY_VAULT_URI" in str(error) or kind is UnavailableError


def test_unknown_outcome():
    """A write that was sent and not answered may have been applied; a read, or what was refused or never sent, not."""
    unknown = [TimeoutError(), ConnectionResetError(), refused(500), refused(503, "Busy"), TooLargeError()]
    for failure in unknown:
        assert translate(SET, failure).outcome_unknown
        assert not translate(GET, failure).outcome_unknown
    undone = [refused(429, "Throttled"), refused(409, "Conflict"), refused(401, "X"), aiohttp.ConnectionTimeoutError()]
    for failure in [*undone, refused(403, "X", "ForbiddenByRbac"), refused(404, "SecretNotFound"), RedirectedError()]:
        assert not translate(SET, failure).outcome_unknown


@pytest.mark.parametrize(
    ("hint", "seconds"), [("7", 7.0), ("", None), ("0", None), ("-1", None), ("soon", None), ("9" * 9, None)]
)
def test_retry_after(hint, seconds):
    """Retry-After is seconds, or nothing."""
    assert retry_after(hint) == seconds
    assert translate(GET, refused(429, "Throttled", **{"Retry-After": hint})).retry_after == seconds


def test_what_a_refusal_says():
    """The innermost code; what is no code counts as none."""
    nested = {
        "code": "A",
        "innererror": {"code": "B", "innererror": {"innererror": {"code": "C"}}},
        "message": "canary",
    }
    found = Refusal.of(answered(403, json.dumps({"error": nested}).encode()))
    assert (found.status, found.code, found.inner) == (403, "A", "C")
    assert "canary" not in repr(found)
    for content in (b"", b"canary", b"[]", b'{"error": "canary"}', b'{"error": {"code": ["x"]}}', b"[" * 50_000):
        assert not Refusal.of(answered(403, content)).code


@given(st.binary(), st.text(), st.text(), st.integers(100, 599), st.sampled_from([GET, SET]))
@example(b'{"error": {"code": "Forbidden", "innererror": {"code": "canary canary"}}}', "", "", 403, GET)
def test_anything(content, code, inner, status, call):
    """Whatever a vault says is one of our errors, and its words go no further."""
    for failure in (
        Refusal.of(answered(status, content)),
        refused(status, f"canary {code}", f"canary {inner}", f"canary{code}"),
    ):
        error = translate(call, failure)
        assert isinstance(error, ProviderError | ConfigError)
        assert "canary" not in str(error)


def test_an_answer_does_not_show_itself():
    """Azure's client keeps it in its exceptions."""
    assert "canary" not in repr(answered(200, b"canary", canary="canary"))


# -- through the wire

DENIALS = ["ForbiddenByFirewall", "ForbiddenByRbac", "ForbiddenByPolicy"]


@pytest.mark.parametrize("inner", DENIALS)
async def test_denied(connected, server, inner):
    """By a firewall, by roles, by an access policy: each as the vault tells them apart."""
    connection = await connected()
    server.deny(inner)
    said = {}
    for call in (read, write):
        with pytest.raises(AccessDeniedError) as caught:
            await call(connection)
        said[call] = caught.value.message
        assert not caught.value.outcome_unknown
    assert {"ForbiddenByFirewall": "firewall", "ForbiddenByRbac": "role", "ForbiddenByPolicy": "policy"}[inner] in said[
        read
    ]


FAULTS = {
    "throttled": (lambda faults: faults.throttle(3), RateLimitedError),
    "down": (lambda faults: faults.status(503), UnavailableError),
    "page": (lambda faults: faults.page(502), UnavailableError),
    "barred": (lambda faults: faults.page(403), AccessDeniedError),
    "dropped": (lambda faults: faults.drop(), UnavailableError),
    "page in its place": (lambda faults: faults.corrupt("page"), MalformedResponseError),
    "half": (lambda faults: faults.corrupt("truncated"), MalformedResponseError),
    "hanging": (lambda faults: faults.hang(), UnavailableError),
}
UNKNOWN = {"down", "page", "dropped", "page in its place", "half", "hanging"}


@pytest.mark.parametrize("what", FAULTS)
async def test_a_fault(connected, server, what):
    """One request, one error of ours; of a write it is known whether it may have been applied."""
    fault, kind = FAULTS[what]
    connection = await connected()
    await read(connection)
    if what == "hanging":
        connection._https._session._timeout = aiohttp.ClientTimeout(total=0.3)
    fault(server.faults)
    for call, method in ((read, "GetSecret"), (write, "SetSecret")):
        before = server.count(method)
        with pytest.raises(kind) as caught:
            await call(connection)
        assert server.count(method) - before == 1
        assert caught.value.name == "NAME"
        assert caught.value.outcome_unknown == (call is write and what in UNKNOWN)
        assert caught.value.__context__ is caught.value.__cause__ is None
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        if kind is RateLimitedError:
            assert caught.value.retry_after == 3
    server.faults.clear()
    assert await read(connection) in {"canary", "canary anew"}


async def test_no_such_vault(connected, server, names):
    """Nor a name in DNS for it, nor anybody who listens."""
    connection = await connected(azure_key_vault_uri="https://absent.vault.azure.net")
    with pytest.raises(ConfigError, match=r"no vault absent\.vault\.azure\.net \(DNS\).*AZURE_KEY_VAULT_URI"):
        await read(connection)
    names["absent.vault.azure.net"] = ("127.0.0.1", 1)
    with pytest.raises(UnavailableError, match="cannot be reached: check azure_key_vault_uri"):
        await read(connection)


def test_every_error_is_ours():
    """The tables above hold nothing else."""
    assert all(issubclass(kind, AsyncSecretsError) for *_, kind, _ in REFUSALS + FAILURES)
