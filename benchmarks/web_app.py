"""The app of the web benchmarks: FastAPI on asyncsecrets, with a store that answers as Vault does.

``uvicorn benchmarks.web_app:app``. Its environment says where the store is; ``BENCH_*`` what it is to do:

* ``BENCH_STATS``: a folder. Each worker writes what it has seen there when it ends.
* ``BENCH_POLICY``: ``required`` (the default), ``optional`` or ``degraded``.
* ``BENCH_INTERVAL``: seconds between two renewals of a secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse

from asyncsecrets import get_secret
from asyncsecrets.errors import TransientError
from asyncsecrets.integrations.fastapi import lifespan, readyz, secret, unavailable
from asyncsecrets.integrations.serving import AppSecrets

NAMES = [f"WEB_{number}" for number in range(5)]
NAME = NAMES[0]
SHED = 0.005  # seconds between two looks at how late the event loop is


def app_secrets(policy: str, interval: float) -> AppSecrets:
    """The secrets of the app: all of them are ``required``, ``optional``, or required and ``degraded``."""
    settings = {"refresh_interval": interval, "max_stale": 600}
    config = {"general_settings": {"key_management_system": "hashicorp_vault", "key_management_settings": settings}}
    return AppSecrets(
        config,
        required=() if policy == "optional" else NAMES,
        optional=NAMES if policy == "optional" else (),
        degraded=policy == "degraded",
        within=20.0,
    )


secrets = app_secrets(os.environ.get("BENCH_POLICY", "required"), float(os.environ.get("BENCH_INTERVAL", "2")))


class Lateness:
    """How late a timer of this worker's event loop was, each time: in milliseconds."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.perf_counter() + SHED
            await asyncio.sleep(SHED)
            self.seen.append(1000.0 * max(0.0, time.perf_counter() - due))


@contextlib.asynccontextmanager
async def measured(_: FastAPI) -> AsyncIterator[None]:
    """Measure while the app runs, and leave what was seen behind."""
    lateness = Lateness()
    measuring = asyncio.create_task(lateness.run())
    try:
        yield
    finally:
        measuring.cancel()
        await asyncio.wait({measuring})
        if folder := os.environ.get("BENCH_STATS"):
            Path(folder, f"{os.getpid()}.json").write_text(json.dumps(_stats(lateness)))


def _stats(lateness: Lateness) -> dict[str, Any]:
    sources = [source for source in secrets.client.status() if source.calls]
    return {
        "late": lateness.seen,
        "fetches": sum(source.calls for source in sources),
        "renewals": sum(source.renewals for source in sources),
        "failures": sum(source.failures for source in sources),
    }


app = FastAPI(lifespan=lifespan(secrets, measured))
app.add_route("/readyz", readyz(secrets))
app.add_exception_handler(TransientError, unavailable)


@app.get("/constant", response_class=PlainTextResponse)
async def constant() -> str:
    """What a handler costs that reads nothing."""
    return _shown("canary-0")


@app.get("/get_secret", response_class=PlainTextResponse)
async def read() -> str:
    """The same with a secret, read where it is needed."""
    return _shown(await get_secret(NAME))


@app.get("/dependency", response_class=PlainTextResponse)
async def depends(value: Annotated[str, secret(NAME)]) -> str:
    """The same with a secret that FastAPI gives to the handler."""
    return _shown(value)


async def fixed() -> str:
    """A dependency on nothing."""
    return "canary-0"


@app.get("/constant_dependency", response_class=PlainTextResponse)
async def depends_on_nothing(value: Annotated[str, Depends(fixed)]) -> str:
    """What FastAPI's dependencies cost, whatever they give."""
    return _shown(value)


@app.get("/all", response_class=PlainTextResponse)
async def read_all() -> str:
    """All of the secrets, of one generation or of two."""
    return " ".join([_shown(await get_secret(name)) for name in NAMES])


def _shown(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:12]
