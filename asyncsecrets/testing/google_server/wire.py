"""How calls come in: a relay that can cut connections or fall silent, and behind it a ``grpc.aio`` server."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any, Final

from asyncsecrets.testing.google_server.faults import Faults, damaged
from asyncsecrets.testing.google_server.identity import Identity
from asyncsecrets.testing.google_server.log import Log, RequestRecord
from asyncsecrets.testing.google_server.projects import Projects
from asyncsecrets.testing.google_server.refusals import Refused, need

_CHUNK: Final = 65_536
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


class Dispatcher:
    """Takes every call through log, faults, credentials and permissions to its service."""

    def __init__(self, faults: Faults, identity: Identity, projects: Projects, log: Log) -> None:
        self._faults, self._identity, self._projects, self._log = faults, identity, projects, log

    def handler(self, service: Any) -> Any:
        """grpc's handler of a whole service; a method that it does not have is UNIMPLEMENTED."""
        grpc = need("grpc")
        methods = {
            method: grpc.unary_unary_rpc_method_handler(
                self._answering(service, method),
                getattr(service.types, f"{method}Request").pb().FromString,
                lambda reply: reply if isinstance(reply, bytes) else reply.SerializeToString(),
            )
            for method in service.PERMISSIONS
        }
        return grpc.method_handlers_generic_handler(service.NAME, methods)

    def _answering(self, service: Any, method: str) -> Callable[[Any, Any], Any]:
        async def answer(request: Any, context: Any) -> Any:
            metadata = {key: text for key, text in context.invocation_metadata() if isinstance(text, str)}
            record = self._log.note(method, _name_in(request), metadata)
            try:
                reply = await self._answer(service, record, request, metadata.get("authorization", ""))
            except Refused as error:
                refused = error
            else:
                record.code = "OK"
                return reply
            record.code = refused.code
            return await context.abort(refused.status(), refused.message, refused.trailer())

        return answer

    async def _answer(self, service: Any, record: RequestRecord, request: Any, authorization: str) -> Any:
        faults = self._faults.met(record.method, record.name)
        record.fault = next((fault.kind for fault in faults if fault.kind != "delay"), None)
        await self._faults.happen(faults, "before")
        facts = {"service": service.HOST, "method": f"{service.NAME}.{record.method}"}
        record.principal = self._identity.principal_of(authorization, facts)
        self._projects.admit(record.principal, service.PERMISSIONS[record.method], record.name, service.HOST)
        reply = getattr(service, _CAPITAL.sub("_", record.method).lower())(request)
        await self._faults.happen(faults, "after")
        damage = [fault.damage for fault in faults if fault.kind == "corrupt"]
        return damaged(_copy(reply), damage[0]) if damage else reply


class Relay:
    """Bytes between clients and the server behind it. The port stays the same whenever it opens again.

    ``silent`` are the connections that are kept and carry nothing any more.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._behind = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, behind: int) -> None:
        """Listen, and pass on to that port."""
        self._behind = behind
        self._server = await asyncio.start_server(self._connected, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def forget(self) -> None:
        """Lose every byte of the connections that there are."""
        self._silent |= self._writers

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = {writer}
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(self.host, self._behind)
            writers.add(back)
            self._writers.add(back)
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        except OSError:
            pass  # one side has gone: the other goes, too
        finally:
            self._writers -= writers
            self._silent -= writers
            for each in writers:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if writer not in self._silent:
                    writer.write(data)
                    await writer.drain()
        writer.close()


def _name_in(request: Any) -> str:
    for field_name in ("name", "parent"):
        if field_name in request.DESCRIPTOR.fields_by_name:
            return str(getattr(request, field_name))
    return str(request.secret.name)


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied
