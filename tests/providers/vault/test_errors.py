"""Every answer of Vault, and every failure to get one, is exactly one of our errors."""

from __future__ import annotations

import copy
import json
import pickle
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from asyncsecrets import errors
from asyncsecrets.providers.vault.errors import Answer, Call, blames_token, errors_in, translate

from .raw import RawServer, answer

CANARY = "canary-body"
KEY = ConnectionKey("h", 1, True, True, None, None, None)
FAILED = "1 error occurred:\n\t* {}\n\n"
UNVERIFIED = "failed to verify client's certificate"
LAPSED = "certificate has expired or is not yet valid: current time"
DATE = "2026-06-30T13:43:34Z"
POLICY = "1 error occurred:\n\t* permission denied\n\n"


def call(operation="read", method="GET"):
    """A call on secret `team/a` in namespace `ns`."""
    return Call(operation, method, URL("https://vault.test:8200/v1/ns/secret/data/team/a"), "team/a")


def texts(*lines):
    """A body with the server's error list."""
    return json.dumps({"errors": list(lines)}).encode()


def version(**metadata):
    """The body of a version that cannot be read."""
    return json.dumps({"data": {"data": None, "metadata": {"version": 1, "destroyed": False, **metadata}}}).encode()


READS = [
    (301, b"", errors.InsecureTransportError),
    (302, b"", errors.InsecureTransportError),
    (307, CANARY.encode(), errors.InsecureTransportError),
    (308, b"", errors.InsecureTransportError),
    (400, b"", errors.InvalidNameError),
    (400, texts("relative paths not supported"), errors.InvalidNameError),
    (400, texts("missing client token"), errors.AuthenticationError),
    (400, b"Client sent an HTTP request to an HTTPS server.\n", errors.InsecureTransportError),
    (400, texts(CANARY), errors.MalformedResponseError),
    (401, texts(CANARY), errors.AuthenticationError),
    (403, texts("permission denied"), errors.AuthenticationError),
    (403, texts("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"), errors.AuthenticationError),
    (403, texts(POLICY), errors.AccessDeniedError),
    (403, texts(f'preflight capability check returned 403, "{CANARY}"'), errors.AccessDeniedError),
    (403, b"<html>canary-body</html>", errors.AccessDeniedError),
    (404, texts(), errors.SecretNotFoundError),
    (404, texts('no handler for route "nomount/data/x". route entry not found.'), errors.ConfigError),
    (404, texts("namespace not found"), errors.ConfigError),
    (404, texts("1 error occurred:\n\t* unsupported path\n\n"), errors.ConfigError),
    (404, b'{"data": null, "warnings": ["Invalid path for a versioned K/V secrets engine."]}', errors.ConfigError),
    (404, b"<html>canary-body</html>", errors.ConfigError),
    (404, b"", errors.ConfigError),
    (404, version(deletion_time="2026-01-01T00:00:00Z"), errors.SecretNotFoundError),
    (404, version(destroyed=True), errors.SecretNotFoundError),
    (405, texts("1 error occurred:\n\t* unsupported operation\n\n"), errors.ConfigError),
    (412, texts("required index state not present"), errors.UnavailableError),
    (418, b"", errors.MalformedResponseError),
    (429, texts('request path "x": rate limit quota exceeded'), errors.RateLimitedError),
    (472, b"", errors.UnavailableError),
    (473, b"", errors.UnavailableError),
    (500, texts(CANARY), errors.UnavailableError),
    (501, texts(), errors.UnavailableError),
    (502, b"<html>canary-body</html>", errors.UnavailableError),
    (503, texts("Vault is sealed"), errors.UnavailableError),
    (504, b"", errors.UnavailableError),
]


@pytest.mark.parametrize(("status", "body", "kind"), READS)
def test_read(status, body, kind):
    """Each answer to a read is its one class; the error names the secret and repeats nothing of the server's."""
    error = translate(call(), Answer(status, body))
    assert type(error) is kind
    assert "team/a" in str(error)
    assert CANARY not in repr((error.args, vars(error)))
    assert not getattr(error, "outcome_unknown", False)
    assert getattr(error, "name", "team/a") == "team/a"


@pytest.mark.parametrize(
    ("status", "body", "kind", "unknown"),
    [
        (400, texts("check-and-set parameter did not match the current version"), errors.ConflictError, False),
        (400, texts("check-and-set parameter required for this call"), errors.ConflictError, False),
        (403, texts(POLICY), errors.AccessDeniedError, False),
        (412, b"", errors.UnavailableError, False),
        (200, b"", errors.MalformedResponseError, True),
        (201, texts(), errors.MalformedResponseError, True),
        (202, b"", errors.MalformedResponseError, True),
        (299, b"<html></html>", errors.MalformedResponseError, True),
        (418, b"", errors.MalformedResponseError, False),
        (413, texts("http: request body too large"), errors.UnsupportedOperationError, False),
        (429, b"", errors.RateLimitedError, False),
        (473, b"", errors.UnavailableError, False),
        (400, texts("request body too large"), errors.UnsupportedOperationError, False),
        (400, texts("refused JSON input: exceeded maximum number of strings"), errors.UnsupportedOperationError, False),
        (408, b"", errors.UnavailableError, False),
        (413, b"<html></html>", errors.UnsupportedOperationError, False),
        (414, b"<html></html>", errors.InvalidNameError, False),
        (425, b"", errors.UnavailableError, False),
        (431, b"431 Request Header Fields Too Large", errors.ConfigError, False),
        (500, texts(FAILED.format("put failed due to value being too large")), errors.UnsupportedOperationError, False),
        (500, texts(FAILED.format("put failed due to key being too large")), errors.InvalidNameError, False),
        (500, texts("local node not active but active cluster node not found"), errors.UnavailableError, False),
        (500, texts("node not active but active node not found"), errors.UnavailableError, False),
        (500, texts("Vault is in standby mode"), errors.UnavailableError, False),
        (503, texts("no active Vault instance found"), errors.UnavailableError, True),
        (503, texts("node is not active"), errors.UnavailableError, False),
        (503, texts("namespace is sealed"), errors.UnavailableError, False),
        (
            503,
            texts("API access to this namespace has been locked by an administrator"),
            errors.UnavailableError,
            False,
        ),
        (503, texts(FAILED.format("locked namespace")), errors.UnavailableError, False),
        (503, b"Vault is sealed", errors.UnavailableError, True),
        (500, texts("leadership lost while committing log"), errors.UnavailableError, True),
        (500, texts("internal error"), errors.UnavailableError, True),
        (500, b"", errors.UnavailableError, True),
        (502, b"", errors.UnavailableError, True),
        (503, texts("Vault is sealed"), errors.UnavailableError, False),
        (503, b"<html></html>", errors.UnavailableError, True),
        (504, b"", errors.UnavailableError, True),
    ],
)
def test_write(status, body, kind, unknown):
    """A refused write says that it was not applied; one that a failing server may have applied says that."""
    error = translate(call("write", "POST"), Answer(status, body))
    assert type(error) is kind
    assert getattr(error, "outcome_unknown", False) == unknown


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, texts("invalid role or secret ID"), errors.AuthenticationError),
        (400, texts("lease is not renewable"), errors.AuthenticationError),
        (400, texts("no client certificate found"), errors.AuthenticationError),
        (403, texts("permission denied"), errors.AuthenticationError),
        (403, texts(POLICY), errors.AuthenticationError),
        (429, b"", errors.RateLimitedError),
        (500, texts("missing role_id"), errors.AuthenticationError),
        (500, texts(f"{UNVERIFIED}: x509: {LAPSED} 2026-07-10T15:43:19Z is after {DATE}"), errors.AuthenticationError),
        (500, texts(f"{UNVERIFIED}: x509: {LAPSED} 2026-06-10T15:43:19Z is before {DATE}"), errors.AuthenticationError),
        (500, texts(f"{UNVERIFIED}: x509: too many intermediates"), errors.AuthenticationError),
        (500, texts(f"Post https://cluster.test: x509: {LAPSED} 2026-07-10T15:43:19Z"), errors.UnavailableError),
        (500, texts("internal error"), errors.UnavailableError),
        (503, texts("Vault is sealed"), errors.UnavailableError),
    ],
)
def test_login(status, body, kind):
    """A refused login is about the credentials; a server in trouble is not."""
    assert type(translate(call("login", "POST"), Answer(status, body))) is kind


@pytest.mark.parametrize(
    ("status", "standby", "kind"),
    [
        (307, True, errors.UnavailableError),
        (307, False, errors.InsecureTransportError),
        (301, False, errors.InsecureTransportError),
    ],
)
def test_a_redirect_that_was_not_followed(status, standby, kind):
    """One such as a standby gives passes with the failover, and may follow on a write that it has forwarded; each says
    what to set."""
    error = translate(call("write", "POST"), Answer(status, b"", standby=standby))
    assert type(error) is kind
    assert "cluster_addrs" in str(error)
    assert error.outcome_unknown is standby
    assert not getattr(translate(call("read", "GET"), Answer(status, b"", standby=standby)), "outcome_unknown", False)


@pytest.mark.parametrize(
    ("metadata", "reason"), [({"destroyed": True, "deletion_time": "x"}, "destroyed"), ({}, "deleted")]
)
def test_reason(metadata, reason):
    """A version that is there but not readable says why."""
    assert translate(call(), Answer(404, version(**metadata))).reason == reason


def test_patch_of_nothing():
    """A patch of an absent secret is a 404 without a body, which nowhere else means absent."""
    assert type(translate(call("patch", "PATCH"), Answer(404, b""))) is errors.SecretNotFoundError


def test_denied_names_path_and_capability():
    """A policy's refusal names what to add to the policy."""
    error = translate(call("delete", "DELETE"), Answer(403, texts(POLICY)))
    assert "'delete'" in str(error)
    assert "'ns/secret/data/team/a'" in str(error)


@pytest.mark.parametrize(
    ("within", "path"),
    [
        ("", "'ns/secret/data/team/a'"),
        ("ns", "'secret/data/team/a' of namespace 'ns'"),
        ("n", "'ns/secret/data/team/a'"),
        ("ns/secret", "'data/team/a' of namespace 'ns/secret'"),
        ("other", "'ns/secret/data/team/a'"),
    ],
)
def test_policy_in_a_namespace(within, path):
    """The path is spelt as a policy in the login's namespace spells it."""
    denied = call()
    denied.within = within
    assert str(translate(denied, Answer(403, texts(POLICY)))).endswith(f"on path {path}")


async def test_policy_in_the_namespace_of_the_login(provider_at):
    """Whatever is asked for, and in both engines: a policy cannot be written with the path as it is sent."""
    async with RawServer(lambda request: answer(403, json.loads(texts(POLICY)))) as server:
        for version in (1, 2):
            async with provider_at(server.url, namespace="team", token="canary-token", kv_version=version) as provider:
                provider._mount.verified = True
                calls = [lambda: provider.get("name"), lambda: provider.put("name", "canary"), provider.list]
                for call_it in calls:
                    with pytest.raises(errors.AccessDeniedError, match=r"' of namespace 'team'$"):
                        await call_it()


def test_retry_after():
    """The wait that the transport parsed is the error's."""
    assert translate(call(), Answer(429, b"", 7.0)).retry_after == 7.0
    assert translate(call(), Answer(429, b"")).retry_after is None
    for status in (412, 473, 500, 503):
        error = translate(call(), Answer(status, b"", 4.0))
        assert isinstance(error, errors.UnavailableError)
        assert copy.copy(error).retry_after == pickle.loads(pickle.dumps(error)).retry_after == 4.0
    assert not hasattr(translate(call(), Answer(403, b"", 4.0)), "retry_after")


def tls_refused():
    """A client certificate refused at the first read, as TLS 1.3 does."""
    error = aiohttp.ClientOSError(1, CANARY)
    error.__cause__ = ssl.SSLError(1, CANARY)
    return error


def refused_with(reason):
    """A client certificate that the server refuses with an alert, at the first read and within the handshake."""
    alert = ssl.SSLError(1, CANARY)
    alert.reason = reason
    late = aiohttp.ClientOSError(1, CANARY)
    late.__cause__ = alert
    return [late, aiohttp.ClientConnectorSSLError(KEY, alert)]


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "it has expired"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "not valid any more"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "it was revoked"),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "cannot verify it"),
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "not made for clients"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "none was sent"),
        ("TLSV1_ALERT_UNKNOWN_CA", "its CA"),
        ("TLSV1_ALERT_ACCESS_DENIED", "let its bearer in"),
    ],
)
def test_a_client_certificate_that_is_refused(reason, why):
    """It is who we are that the server does not accept, and the request was not read: no write is in doubt."""
    for fault in refused_with(reason):
        error = translate(call("write", "POST"), fault)
        assert type(error) is errors.AuthenticationError
        assert why in str(error)
        assert "client_cert" in str(error)
        assert not error.outcome_unknown
        assert CANARY not in repr((error.args, vars(error)))


EXCEPTIONS = [
    (aiohttp.ClientConnectorCertificateError(KEY, Exception(CANARY)), errors.InsecureTransportError, False),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, CANARY)), errors.InsecureTransportError, False),
    (aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), errors.InsecureTransportError, False),
    (tls_refused(), errors.InsecureTransportError, False),
    (aiohttp.ClientConnectorError(KEY, OSError(111, CANARY)), errors.UnavailableError, False),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, CANARY)), errors.UnavailableError, False),
    (aiohttp.ConnectionTimeoutError(CANARY), errors.UnavailableError, False),
    (aiohttp.SocketTimeoutError(CANARY), errors.UnavailableError, True),
    (TimeoutError(CANARY), errors.UnavailableError, True),
    (aiohttp.ServerDisconnectedError(CANARY), errors.UnavailableError, True),
    (aiohttp.ClientOSError(104, CANARY), errors.UnavailableError, True),
    (ConnectionResetError(104, CANARY), errors.UnavailableError, True),
    (aiohttp.ClientPayloadError(CANARY), errors.UnavailableError, True),
    (aiohttp.ClientResponseError(None, (), message=CANARY), errors.MalformedResponseError, True),
    (ValueError(CANARY), errors.MalformedResponseError, True),
]


@pytest.mark.parametrize(("fault", "kind", "sent"), EXCEPTIONS, ids=lambda value: getattr(value, "__name__", None))
def test_exception(fault, kind, sent):
    """Each transport failure is its one class; it holds nothing of the original; a write that left is in doubt."""
    error = translate(call(), fault)
    assert type(error) is kind
    assert not error.outcome_unknown
    assert translate(call("write", "POST"), fault).outcome_unknown == sent
    assert error.__cause__ is error.__context__ is None
    assert CANARY not in repr((error.args, vars(error)))
    assert str(copy.copy(error)) == str(error)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, CANARY)), "cannot be resolved (DNS)"),
        (aiohttp.ClientConnectorError(KEY, OSError(111, CANARY)), "it was refused"),
        (aiohttp.ClientConnectorError(KEY, OSError(113, CANARY)), "the network does not lead there"),
        (aiohttp.ConnectionTimeoutError(CANARY), "connect_timeout"),
        (TimeoutError(CANARY), "did not answer in time (attempt_timeout)"),
        (aiohttp.ServerDisconnectedError(CANARY), "broke before the answer"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, CANARY)), "TLS"),
    ],
)
@pytest.mark.parametrize("host", ["vault.test", "[2001:db8::1]"])
def test_where_and_why(fault, why, host):
    """A failure to connect names the server and the kind of failure."""
    at = Call("read", "GET", URL(f"https://{host}:8200/v1/secret/data/a"), "a")
    message = str(translate(at, fault))
    assert why in message
    assert f"{host}:8200" in message


def recorded():
    """The recorded exchanges that ended in an error."""
    path = next(Path(__file__).parents[2].rglob("openbao.json"), None)
    exchanges = json.loads(path.read_text()) if path else []
    exchanges = exchanges if isinstance(exchanges, list) else exchanges["exchanges"]
    return [exchange for exchange in exchanges if exchange["status"] >= 300]


def body_of(exchange):
    """The recorded body as bytes."""
    body = exchange.get("body")
    return b"" if body is None else json.dumps(body).encode()


def test_recordings_blame_the_right_side():
    """Of the recorded 403s, those of bad tokens are cured by a login and those of policies are not."""
    denied = [(e["body"]["errors"], blames_token(Answer(403, body_of(e)))) for e in recorded() if e["status"] == 403]
    assert sum(blames for _, blames in denied) > 5
    assert sum(not blames for _, blames in denied) > 5
    assert all(blames == (lines == ["permission denied"]) for lines, blames in denied)


def test_recordings_are_all_understood():
    """No recorded error falls through to "unexpected", but those that our requests cannot cause."""
    fallen = set()
    for exchange in recorded():
        path, login = exchange["request"]["path"], "/login" in exchange["request"]["path"]
        operation = "login" if login or "/auth/" in path or "/sys/" in path else "read"
        error = translate(call(operation), Answer(exchange["status"], body_of(exchange)))
        if type(error) is errors.MalformedResponseError:
            fallen.add((exchange["request"]["method"], exchange["status"]))
    assert fallen <= {("POST", 400), ("PATCH", 415), ("GET", 400), ("OPTIONS", 400), ("PUT", 400)}


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"errors": 1}', b"[" * 100_000, b"NaN", b'{"a": NaN}'])
def test_errors_in_nonsense(body):
    """A body that is not Vault's error list is None, whatever it is."""
    assert errors_in(body) is None
