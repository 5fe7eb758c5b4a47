"""A raw socket server for tests: records the bytes it is sent and answers what it is told."""

from __future__ import annotations

import inspect
import json
import re

from tests.providers.listening import Listening

OBJECT = {"key": "canary-value"}


def document(data, **more):
    """A Vault answer."""
    return {"request_id": "", "lease_id": "", "renewable": False, "lease_duration": 0, "data": data, **more}


def secret(members=OBJECT, **metadata):
    """A KV v2 secret as the server answers it."""
    about = {"created_time": "2026-01-02T03:04:05.123456789Z", "custom_metadata": None, "deletion_time": ""}
    return document({"data": members, "metadata": {**about, "destroyed": False, "version": 1, **metadata}})


def mount(version="2", kind="kv"):
    """What a mount says of itself."""
    return document({"type": kind, "options": {"version": version}})


def answer(status=200, body=b"", **headers):
    """An HTTP answer as bytes; headers as keyword arguments, `_` for `-`."""
    content = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Request:
    """One request as it was received."""

    def __init__(self, head, body):
        self.line, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = self.line.split(" ", 2)
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.body = body


class RawServer(Listening):
    """`respond(request)` returns bytes to send, None to hang up, or a coroutine that gets the writer."""

    def __init__(self, respond=lambda request: answer(body=secret()), ssl=None):
        self.respond = respond
        self.ssl = ssl
        self.requests = []
        self.received = b""

    @property
    def port(self):
        """Where it listens."""
        return self.own_port

    async def _talk(self, reader, writer):
        while (request := await self._read(reader)) is not None:
            self.requests.append(request)
            reply = self.respond(request)
            if inspect.iscoroutinefunction(reply):
                reply = await reply(writer)
            if reply is None:
                break
            writer.write(reply)
            await writer.drain()

    async def _read(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.received += head + body
        return Request(head[:-4], body)
