"""Tokens, leases, and the operations on them that Vault offers to their bearer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from asyncsecrets.errors import AuthenticationError, MalformedResponseError
from asyncsecrets.providers.vault.errors import Answer, Call, blames_token, document_of, errors_in, translate
from asyncsecrets.providers.vault.http import Transport
from asyncsecrets.providers.vault.paths import SYSTEM, Paths
from asyncsecrets.providers.vault.sender import Sender

__all__ = ["Lease", "Token", "TokenApi", "token_text"]

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,8192}")
_LONGEST: Final = (
    10 * 365 * 86_400.0
)  # seconds; a longer lease counts as this: every clock and timer can reckon with it


class Token(Sender):
    """A token and the headers that carry it. Compared by identity: *that* login, not that text."""

    __slots__ = ("served", "text")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.served = False
        """Whether a call has succeeded with it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a login or renewal granted: a token, for how many seconds (0: for ever), and whether it can be renewed."""

    token: str = field(repr=False)
    duration: float = 0.0
    renewable: bool = False


def token_text(text: str, where: str) -> str:
    """Check a token that came from a file or an answer. Raises AuthenticationError, without showing it."""
    if not _TOKEN.fullmatch(text):
        raise AuthenticationError(f"{SYSTEM}: {where} holds no valid token", provider=SYSTEM)
    return text


class TokenApi:
    """Login, unwrap, renew, look up and revoke: one attempt each, in the login namespace (sent as a header)."""

    def __init__(self, transport: Transport, paths: Paths) -> None:
        self._transport = transport
        self._paths = paths

    async def reload_tls(self) -> bool:
        """Take up certificates that changed on disk, before they are used to log in."""
        return await self._transport.reload_tls()

    async def login(self, mount: str, body: Mapping[str, str]) -> Lease:
        """``POST auth/<mount>/login``. Raises AuthenticationError where the server refuses."""
        call = Call("login", "POST", self._paths.login(mount), body=json.dumps(body).encode())
        return _lease(call, await self._sent(call, ""))

    async def renew(self, token: str) -> Lease:
        """Renew a token for its own default period. Raises AuthenticationError if it cannot be renewed any more."""
        answer = await self._post("auth/token/renew-self", {}, token)
        return _lease(self._call("auth/token/renew-self"), answer)

    async def look_up(self, token: str) -> Lease:
        """What is left of a token that was given to us. Raises MalformedResponseError for anything else."""
        call = self._call("auth/token/lookup-self", "GET")
        data = (document_of((await self._sent(call, token)).body) or {}).get("data")
        ttl = data.get("ttl") if isinstance(data, dict) else None
        if not isinstance(data, dict) or ttl is None:
            raise MalformedResponseError(f"{SYSTEM}: {call.path} answered without a TTL", provider=SYSTEM)
        return Lease(token, _seconds(call, ttl), data.get("renewable") is True)

    async def knows(self, token: str) -> bool:
        """Whether the server knows this token, be it that its policy forbids the very question."""
        call = self._call("auth/token/lookup-self", "GET")
        answer = await self._transport.send(call, Sender(token, self._paths.login_namespace))
        if answer.status == 403:
            return errors_in(answer.body) is not None and not blames_token(answer)
        return answer.status == 200 and document_of(answer.body) is not None

    async def wrapped_at(self, wrapping_token: str) -> str:
        """The path whose answer a response-wrapping token holds; looking does not open it."""
        answer = await self._post("sys/wrapping/lookup", {"token": wrapping_token}, "")
        data = (document_of(answer.body) or {}).get("data")
        path = data.get("creation_path") if isinstance(data, dict) else None
        return path if isinstance(path, str) else ""

    async def unwrap(self, wrapping_token: str) -> Mapping[str, Any]:
        """The data inside a response-wrapping token; works once."""
        answer = await self._post("sys/wrapping/unwrap", {}, wrapping_token)
        data = (document_of(answer.body) or {}).get("data")
        return data if isinstance(data, dict) else {}

    async def revoke(self, token: str) -> None:
        """Revoke a token by itself."""
        await self._post("auth/token/revoke-self", {}, token)

    async def _post(self, path: str, body: Mapping[str, str], token: str) -> Answer:
        return await self._sent(self._call(path, "POST", json.dumps(body).encode()), token)

    async def _sent(self, call: Call, token: str) -> Answer:
        answer = await self._transport.send(call, Sender(token, self._paths.login_namespace))
        if answer.status not in {200, 204}:
            raise translate(call, answer)
        return answer

    def _call(self, path: str, method: str = "POST", body: bytes | None = None) -> Call:
        return Call("login", method, self._paths.api(path), body=body)


def _lease(call: Call, answer: Answer) -> Lease:
    auth = (document_of(answer.body) or {}).get("auth")
    token = auth.get("client_token") if isinstance(auth, dict) else None
    if not isinstance(auth, dict) or not isinstance(token, str):
        raise MalformedResponseError(f"{SYSTEM}: {call.path} answered without a token", provider=SYSTEM)
    return Lease(
        token_text(token, f"the answer of {call.path}"),
        _seconds(call, auth.get("lease_duration")),
        auth.get("renewable") is True,
    )


def _seconds(call: Call, value: Any) -> float:
    """How long a token lives; 0 is for ever, as is what is not told. Raises MalformedResponseError for no lifetime."""
    if value is None:
        return 0.0
    if type(value) not in {int, float} or not 0 <= value < math.inf:  # a bool is none, nor is NaN
        raise MalformedResponseError(f"{SYSTEM}: {call.path} answered with a lifetime that is none", provider=SYSTEM)
    return float(min(value, _LONGEST))
