"""The demo's hold on its server process."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from typing import Any, Final, Self

from asyncsecrets.errors import AsyncSecretsError

__all__ = ["Backend"]

_ANSWER_WITHIN: Final = 20.0  # seconds; starting Python on a busy machine takes the longest
_END_WITHIN: Final = 5.0


class Backend:
    """The server in a process of its own. ``async with`` starts it, and ends it in every case."""

    url: str

    def __init__(self) -> None:
        self.token = "s." + secrets.token_hex(16)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "asyncsecrets.cli.demo.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the demo, whose end is then the server's
        )
        try:
            self._send({"token": self.token})
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Listen; again after ``kill``, on the same port with the same secrets."""
        self.url = (await self._order(do="start"))["url"]

    async def kill(self) -> None:
        """Close the port and reset every connection."""
        await self._order(do="kill")

    async def write(self, name: str, value: str) -> None:
        """Give a secret a new version, as an operator would, whether the port is open or not."""
        await self._order(do="write", name=name, value=value)

    async def count(self, name: str) -> int:
        """How often the secret was read so far."""
        return int((await self._order(do="count", name=name))["count"])

    async def aclose(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_END_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _order(self, **order: Any) -> dict[str, Any]:
        self._send(order)
        line = b""
        if self._process is not None and self._process.stdout is not None:
            async with asyncio.timeout(_ANSWER_WITHIN):
                line = await self._process.stdout.readline()
        if not line:
            raise AsyncSecretsError("the demo's server process ended before the demo did")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _send(self, order: dict[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
