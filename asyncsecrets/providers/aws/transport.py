"""How requests travel to AWS: over a session of ours, which botocore hands its signed requests to (``..https``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiobotocore.awsrequest import AioAWSResponse

from asyncsecrets.errors import ClosedError
from asyncsecrets.providers.aws.mocked import answer_of
from asyncsecrets.providers.call import is_write
from asyncsecrets.providers.https import Https
from asyncsecrets.sending import is_out

__all__ = ["Transport"]


class Transport(Https):
    """Sends signed requests to one endpoint."""

    async def send(self, request: Any, **_: Any) -> AioAWSResponse:
        """Make one attempt: botocore's event ``before-send``, whose result it takes for the answer."""
        sending = is_out if is_write(_operation(request.headers)) else _nothing
        if (mocked := answer_of(request)) is not None:
            return self._mocked(request, mocked, sending)
        answer = await self.exchange(
            request.method, request.url, _headers(request.headers), request.body, sending=sending
        )
        return AioAWSResponse(request.url, answer.status, _lowered(answer.headers), _Body(answer.data))

    def _mocked(self, request: Any, mocked: Any, sending: Callable[[], object]) -> AioAWSResponse:
        self.turns.over()
        if not self.is_open:
            raise ClosedError(f"the {self._system} provider is not open")
        sending()
        return AioAWSResponse(request.url, mocked.status_code, _lowered(mocked.headers), _Body(mocked.content))


class _Body:
    """An answer that has been read, in the shape that aiobotocore reads it from. Its repr shows nothing."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


def _nothing() -> None:
    """A request that changes nothing is sent."""


def _operation(signed: Mapping[str, str | bytes]) -> str:
    target = signed.get("X-Amz-Target", "")
    return (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def _headers(signed: Mapping[str, str | bytes]) -> dict[str, str]:
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in signed.items()}
