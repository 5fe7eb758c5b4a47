"""How gRPC calls come in: a relay that can cut connections or forget them, and behind it the services."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from asyncsecrets.testing.calls import Log, RequestRecord
from asyncsecrets.testing.google_server.calls import Faults, damaged
from asyncsecrets.testing.google_server.identity import Identity
from asyncsecrets.testing.google_server.projects import Projects
from asyncsecrets.testing.google_server.refusals import Refused, need

_CHUNK: Final = 65_536
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(slots=True)
class Dispatcher:
    """Takes every call through log, faults, credentials and permissions to its service."""

    faults: Faults
    identity: Identity
    projects: Projects
    log: Log

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
            record = self.log.note(method, _name_in(request), metadata)
            try:
                reply = await self._answer(service, record, request, metadata.get("authorization", ""))
            except Refused as error:
                refused = error
            else:
                record.code = "OK"
                return reply
            record.code = refused.code
            return await context.abort(*refused.status())

        return answer

    async def _answer(self, service: Any, record: RequestRecord, request: Any, authorization: str) -> Any:
        faults, method = self.faults.met(record), record.method
        await self.faults.happen(faults, "before")
        facts = {"service": service.HOST, "method": f"{service.NAME}.{method}"}
        record.principal = self.identity.principal_of(authorization, facts)
        self.projects.admit(record.principal, service.PERMISSIONS[method], record.name, service.HOST)
        reply = getattr(service, _CAPITAL.sub("_", method).lower())(request)
        await self.faults.happen(faults, "after")
        damage = [fault.damage for fault in faults if fault.kind == "corrupt"]
        return damaged(reply, damage[0]) if damage else reply


def _name_in(request: Any) -> str:
    known = request.DESCRIPTOR.fields_by_name
    return str(request.name if "name" in known else request.parent if "parent" in known else request.secret.name)


class Relay:
    """Bytes between clients and the server behind it. The port stays the same whenever it opens again."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port, self.behind = host, port, 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen, and pass on to the port ``behind``."""
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
        """Keep the connections that there are, and lose their bytes."""
        self._forgotten |= self._writers

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = {writer}
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(self.host, self.behind)
            writers.add(back)
            self._writers.add(back)
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        except OSError:
            pass  # one side has gone: the other goes, too
        finally:
            self._writers -= writers
            self._forgotten -= writers
            for each in writers:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if writer not in self._forgotten:
                    writer.write(data)
                    await writer.drain()
        writer.close()
