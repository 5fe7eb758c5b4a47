"""Managers that answer nonsense with a value in it, for the walk over the frames (``tests/test_frames.py``)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Self

from asyncsecrets.providers.aws import AwsKmsProvider, AwsSecretsManagerProvider, AwsSettings
from asyncsecrets.providers.base import Provider
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.secret import Payload
from asyncsecrets.testing.conformance import ProviderHarness
from tests.canaries import CANARY
from tests.providers.vault.raw import RawServer, answer, secret

VALUE: Final = f"{CANARY}-Zt61pn"

_JSON: Final[dict[str, Any]] = {
    "a list": [VALUE],
    "a text": VALUE,
    "a list as data": {"data": [VALUE], "auth": [VALUE]},
    "a text as data": {"data": VALUE, "auth": VALUE, "SecretString": {"a": VALUE}, "Plaintext": VALUE},
    "members that are none": {
        "data": {"data": {VALUE: [VALUE]}, "metadata": {"version": VALUE, "created_time": VALUE}}
    },
    "a version that is none": {"data": {"data": {"key": VALUE}, "metadata": {"version": [VALUE]}}, "Name": VALUE},
    "keys that are none": {"data": {"keys": [VALUE, 7], "versions": {VALUE: VALUE}}, "SecretList": [VALUE, 7]},
    "a token that is none": {"auth": {"client_token": f"{VALUE}\r\n", "lease_duration": 60}},
    "a lifetime that is none": {"auth": {"client_token": VALUE, "lease_duration": VALUE}},
    "a far too long lifetime": {"auth": {"client_token": VALUE, "lease_duration": 10**400, "renewable": True}},
    "another secret": {"ARN": VALUE, "Name": VALUE, "VersionId": "a" * 36, "SecretString": VALUE, "CreatedDate": VALUE},
    "a wrapped answer": {"wrap_info": {"token": VALUE, "ttl": VALUE}, "warnings": [VALUE], "data": None},
}
_ERROR: Final[dict[str, Any]] = {"errors": [VALUE], "__type": VALUE, "message": VALUE, "Message": VALUE}

ANSWERS: Final[dict[str, bytes]] = {
    **{what: answer(body=body) for what, body in _JSON.items()},
    **{f"status {status}": answer(status, _ERROR, Retry_After=VALUE) for status in (400, 403, 404, 429, 500, 503)},
    "no JSON": answer(body=f'{{"data": {{"data": {{"key": "{VALUE}'.encode()),
    "no UTF-8": answer(body=VALUE.encode() + b"\xff\xfe"),
    "numbers that are none": answer(body=f'{{"data": {{"data": {{"key": NaN, "{VALUE}": {"9" * 5000}}}}}}}'.encode()),
    "very deep": answer(body=b'{"data":' * 5000 + VALUE.encode()),
    "a redirect": answer(307, Location=f"http://127.0.0.1:9/{VALUE}"),
    "an odd encoding": answer(body={"data": VALUE}, Content_Encoding=VALUE),
    "a broken head": f"HTTP/1.1 200 OK\r\nX {VALUE}\r\n\r\n".encode(),
    "no HTTP": VALUE.encode() * 3 + b"\r\n\r\n",
    "half a body": answer(body={"data": VALUE})[:-9],
    "nothing": b"",
}
"""What a server that was reached rightly may say."""

_NEEDS_LOGIN: Final = answer(403, {"errors": ["permission denied", "invalid token"]})


def _vault(url: str) -> Provider:
    return VaultProvider(
        VaultSettings(addr=url, approle_role_id=VALUE, approle_secret_id=VALUE, kv_version=2, attempt_timeout=0.5)
    )


def _aws(url: str) -> AwsSettings:
    keys = {"access_key_id": "AKIATEST", "secret_access_key": VALUE, "session_token": VALUE}
    environ = {"N": "bm90IGNpcGhlcnRleHQ="}
    return AwsSettings(environ=environ, region="eu-central-1", endpoint=url, attempt_timeout=0.5, **keys)


PROVIDERS: Final[dict[str, Callable[[str], Provider]]] = {
    "aws_kms": lambda url: AwsKmsProvider(_aws(url)),
    "aws_secret_manager": lambda url: AwsSecretsManagerProvider(_aws(url)),
    "hashicorp_vault": _vault,
    "a login": _vault,
}


class HostileHarness(ProviderHarness):
    """A raw server that answers what it is told: every request, or of ``a login`` those that log in."""

    kinds = tuple(ANSWERS)

    def __init__(self, which: str) -> None:
        self._which = which
        self._at_login = which == "a login"

    async def __aenter__(self) -> Self:
        self._server = await RawServer(self._well).__aenter__()  # type: ignore[no-untyped-call]
        self.provider = PROVIDERS[self._which](self._server.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__()
        await asyncio.sleep(0.01)  # its transports close in the loop's next turns

    @staticmethod
    def _well(request: Any) -> bytes:
        token = {"client_token": VALUE, "lease_duration": 3600, "renewable": True}
        return answer(body={"auth": token} if "/auth/" in request.target else secret({"key": VALUE}))

    @contextlib.asynccontextmanager
    async def fault(self, kind: str) -> AsyncIterator[None]:
        """Answer with it."""

        def respond(request: Any) -> bytes:
            is_login = "/auth/" in request.target
            return ANSWERS[kind] if is_login or not self._at_login else _NEEDS_LOGIN

        self._server.respond = respond
        try:
            yield
        finally:
            self._server.respond = self._well

    async def seed(self, name: str, value: Payload) -> None:
        """Everything is there."""

    async def remove(self, name: str) -> None:
        """Nothing goes."""
