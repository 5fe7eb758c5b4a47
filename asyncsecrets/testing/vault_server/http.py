"""The HTTP front: requests in, answers or faults out, and a log of what came.

aiohttp's low-level server carries it, with aiohttp's own parser written in Python: the one in C refuses the verb
``LIST``. The choice is made per connection, so other servers and clients in the process keep the fast one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParserPy
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from asyncsecrets import exact
from asyncsecrets.errors import MissingDependencyError
from asyncsecrets.testing.vault_server._model import Call, Clock, Refused, Reply, errors_reply
from asyncsecrets.testing.vault_server.core import Core
from asyncsecrets.testing.vault_server.faults import Fault, Faults, fault_from_json
from asyncsecrets.testing.vault_server.guard import Guard
from asyncsecrets.testing.vault_server.requests import RequestLog, RequestRecord
from asyncsecrets.testing.vault_server.wire import MAX_BODY, build_call, split_target, token_of

SERVER_HEADER = "asyncsecrets-fake-vault"
UNKNOWN_BODY = 64 * 1024  # what a client may send that no token vouches for: room for any login
CONTROL = "/v1/sys/asyncsecrets-"
Sleep = Callable[[float], Awaitable[None]]
_LINE_LIMIT = 64 * 1024
_TOO_LARGE = "http: request body too large"


@dataclass(frozen=True, slots=True)
class _Arrived:
    """What has come of a body: all of it, nothing (``lost``), or so much that the request is refused."""

    body: bytes = field(default=b"", repr=False)
    lost: bool = False
    refusal: Reply | None = None


def _parser_attribute() -> str:
    """Where a connection of aiohttp keeps its parser: a private name, which has changed once (in 3.14)."""
    for name in ("_request_parser", "_parser"):
        if hasattr(RequestHandler, name):
            return name
    raise RuntimeError("the dev server does not know this version of aiohttp: install one from 3.13.4 up to 3.14")


class Protocol(RequestHandler):
    """A connection whose requests are parsed in Python."""

    __slots__ = ()

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop, **settings: Any) -> None:
        super().__init__(manager, loop=loop, **settings)
        parser = HttpRequestParserPy(
            self,
            loop,
            2**16,
            max_line_size=_LINE_LIMIT,
            max_field_size=_LINE_LIMIT,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
        )
        setattr(self, _parser_attribute(), parser)

    def handle_error(
        self,
        request: BaseRequest,  # noqa: ARG002 - the signature is aiohttp's
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - likewise
    ) -> web.StreamResponse:
        """Answer what is no HTTP without writing the offending line to a log."""
        if isinstance(exc, HttpProcessingError):
            status = exc.code
        response = web.Response(status=status, text=f"{status} Bad Request")
        response.force_close()
        return response


class Listener(web.Server):
    """aiohttp's server with our kind of connection, which can be cut off."""

    def __call__(self) -> RequestHandler:
        return Protocol(self, loop=self._loop, **self._kwargs)

    def cut(self) -> None:
        """Reset every connection."""
        for connection in self.connections:
            if connection.transport is not None:
                reset(connection.transport)


class Front:
    """What the listener calls with every request."""

    def __init__(self, core: Core, faults: Faults, guard: Guard, clock: Clock, sleep: Sleep) -> None:
        self.core = core
        self.faults = faults
        self.requests = RequestLog()
        self._guard = guard
        self._clock = clock
        self._sleep = sleep

    def listener(self) -> Listener:
        """A server for the running loop. A client that goes away takes its waiting request with it."""
        return Listener(
            self.handle,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=75,
            lingering_time=0,
            auto_decompress=False,
        )

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        refusal = self._guard.refusal(request.headers, request.raw_path, request.scheme)
        vouched = refusal is None and self.core.tokens.alive(token_of(request.headers), self._clock())
        arrived = await _read(request, MAX_BODY if vouched else UNKNOWN_BODY if refusal is None else 0)
        if refusal is not None:
            return _response(refusal)
        if split_target(request.raw_path)[0].startswith(CONTROL):
            return _response(arrived.refusal or self._guarded(lambda: self._control(request, arrived.body)))
        return await self._handle(request, arrived, vouched=vouched)

    async def _handle(self, request: BaseRequest, arrived: _Arrived, *, vouched: bool) -> web.StreamResponse:
        record = self.requests.note(request.method, request.raw_path, request.headers)
        latency, fault = self.faults.for_request(request.method, request.raw_path, record.header_names)
        if vouched or fault:
            self.requests.keep_body(record, arrived.body)
        if latency:
            await self._sleep(latency)
        reply = arrived.refusal
        if fault is None or fault.when == "after":
            reply = reply or await self._answer(request, arrived)
        record.fault = fault.kind if fault else None
        response = await self._misbehave(fault, request, reply) if fault else _response(reply or Reply(500))
        record.status = response.status
        if response.status < 400 and not record.body:
            self.requests.keep_body(record, arrived.body)
        return response

    async def _answer(self, request: BaseRequest, arrived: _Arrived) -> Reply:
        if self.core.standby_for is not None and not _about_itself(request.raw_path):
            return _standby(self.core.standby_for, request.raw_path)
        try:
            reply = await self.core.handle(self._heard(request, arrived))
        except Refused as refused:
            reply = refused.reply
        except MissingDependencyError as error:
            reply = errors_reply(500, error.message)
        except Exception as error:  # noqa: BLE001 - a bug of the dev server's must reach the test as an answer
            reply = _bug(error)
        if request.headers.get("X-Vault-Namespace"):
            reply.headers.setdefault("X-Vault-Namespace", request.headers["X-Vault-Namespace"])
        reply.headers.setdefault("Date", formatdate(self._clock(), usegmt=True))
        return reply

    def _heard(self, request: BaseRequest, arrived: _Arrived) -> Call:
        """The call; one whose body was thrown away has no token either, whatever has come to be meanwhile."""
        call = self._call(request, arrived.body)
        if arrived.lost:
            call.token = None
            if self.core.is_public(self.core.resolve(call)):
                raise Refused(413, _TOO_LARGE)
        return call

    def _call(self, request: BaseRequest, body: bytes) -> Call:
        return build_call(
            request.method,
            request.raw_path,
            request.headers,
            body,
            self._clock(),
            certificate=_certificate(request),
            remote=request.remote or "",
        )

    def _guarded(self, act: Callable[[], Reply]) -> Reply:
        try:
            return act()
        except Refused as refused:
            return refused.reply

    def _control(self, request: BaseRequest, body: bytes) -> Reply:
        """Faults and the log over HTTP, at a path that no real server has. For the root token only."""
        call = self._call(request, body)
        if not self.core.tokens.find(call.token, call.now).is_root:
            raise Refused(403, "permission denied")
        match call.path.removeprefix("sys/asyncsecrets-"), call.operation:
            case "faults", "update":
                return Reply(200, self.faults.add(_fault(call.body)).data())
            case "faults", "read":
                return Reply(200, {"faults": [fault.data() for fault in self.faults.active]})
            case "faults", "delete":
                self.faults.clear()
                return Reply(204)
            case "requests", "read":
                return Reply(200, {"requests": [_shown(record) for record in self.requests]})
        raise Refused(404)

    async def _misbehave(self, fault: Fault, request: BaseRequest, reply: Reply | None) -> web.StreamResponse:
        match fault.kind:
            case "reset":
                if request.transport is not None:
                    reset(request.transport)
            case "hang":
                await asyncio.get_running_loop().create_future()  # until the client or the server ends it
            case "drip":
                return await self._drip(fault, request, reply or Reply(500))
            case "truncate":
                return await _truncate(fault, request, reply or Reply(500))
            case "oversize":
                return _response(Reply(fault.status, b'{"data":{"data":{"key":"' + b"x" * fault.size + b'"}}}'))
        return _response(Reply(fault.status, fault.body, dict(fault.headers), fault.content_type))

    async def _drip(self, fault: Fault, request: BaseRequest, reply: Reply) -> web.StreamResponse:
        stream, body = await _stream(request, reply)
        for at in range(len(body)):
            await self._sleep(fault.seconds)
            await stream.write(body[at : at + 1])
        await stream.write_eof()
        return stream


async def _truncate(fault: Fault, request: BaseRequest, reply: Reply) -> web.StreamResponse:
    stream, body = await _stream(request, reply)
    await stream.write(body[: fault.size])
    if request.transport is not None:
        request.transport.close()  # sends what is written, then ends the connection
    return stream


async def _stream(request: BaseRequest, reply: Reply) -> tuple[web.StreamResponse, bytes]:
    body = _bytes(reply)
    stream = web.StreamResponse(status=reply.status, headers=_headers(reply))
    stream.content_length = len(body)
    await stream.prepare(request)
    return stream, body


async def _read(request: BaseRequest, room: int) -> _Arrived:
    """The body, if it has at most ``room`` bytes. Of a longer one nothing is kept while the rest goes by."""
    chunks, size = [], 0
    async for chunk in request.content.iter_chunked(2**16):
        size += len(chunk)
        if size > MAX_BODY:
            return _Arrived(refusal=errors_reply(413, _TOO_LARGE))
        if size <= room:
            chunks.append(chunk)
        else:
            chunks.clear()
    return _Arrived(b"".join(chunks), lost=size > room)


def _response(reply: Reply) -> web.Response:
    response = web.Response(status=reply.status, body=_bytes(reply), headers=_headers(reply))
    if reply.status == 413:
        response.force_close()
    return response


_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}  # by Go's encoder, always


def _bytes(reply: Reply) -> bytes:
    if reply.body is None:
        return b""
    if isinstance(reply.body, bytes):
        return reply.body
    text = exact.written(reply.body, sort=False).translate(_ESCAPED)
    # A name may hold bytes that are no UTF-8; like the real server, show them as replacement characters.
    return (text + "\n").encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()


def _headers(reply: Reply) -> dict[str, str]:
    headers = {"Server": SERVER_HEADER, **reply.headers}
    if reply.content_type is not None:
        headers |= {"Cache-Control": "no-store", "Content-Type": reply.content_type}
    return headers


def _about_itself(target: str) -> bool:
    return split_target(target)[0] in {"/v1/sys/health", "/v1/sys/leader", "/v1/sys/seal-status"}


def _standby(active: str, target: str) -> Reply:
    if not active:
        return errors_reply(500, "local node not active but active cluster node not found")
    path, query = split_target(target)
    # Written anew from the decoded path, in which Go escapes less than clients do.
    path = quote(unquote_to_bytes(path), safe="$&+,/:;=@")
    return Reply(307, headers={"Location": active.rstrip("/") + path + (f"?{query}" if query else "")})


def _bug(error: Exception) -> Reply:
    """A bug of the dev server's own: where, and of which class, but never with its text, which may hold a value."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return errors_reply(500, f"the dev server failed: {type(error).__name__} in {frame.name}, line {frame.lineno}")


def _fault(body: dict[str, Any]) -> Fault:
    problem = ""
    try:
        return fault_from_json(body)
    except ValueError as error:
        problem = str(error)
    raise Refused(400, problem)


def _shown(record: RequestRecord) -> dict[str, Any]:
    return {
        "method": record.method,
        "target": record.target,
        "host": record.host,
        "header_names": sorted(record.header_names),
        "namespace": record.namespace,
        "status": record.status,
        "fault": record.fault,
    }


def _certificate(request: BaseRequest) -> bytes | None:
    connection = request.get_extra_info("ssl_object")
    return connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLObject) else None


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection with RST instead of FIN, as a machine that dies or a firewall does."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
