"""The examples of Litestar, Quart and aiohttp, each on the server that it names: a rotation is seen without a restart,
and the store's death and return leave no failed request."""

from __future__ import annotations

import hashlib
import hmac
import signal

import pytest

from tests.examples.serving import EXAMPLES, Store, lives_through_rotation_and_outage, started

SERVERS = {
    "litestar": ("litestar_app", ["-m", "uvicorn", "app:app", "--port", "0"]),
    "quart": ("quart_app", ["-m", "hypercorn", "app:app", "--bind", "127.0.0.1:0"]),
    "aiohttp": ("aiohttp_app", ["app.py"]),
    "aiohttp-gunicorn": (
        "aiohttp_app",
        ["-m", "gunicorn", "app:make_app", "--worker-class", "aiohttp.GunicornWebWorker", "--bind", "127.0.0.1:0"],
    ),
}


def signature(key: str) -> str:
    """What each of them answers for /sign/hello."""
    return hmac.new(key.encode(), b"hello", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("folder", "command"), SERVERS.values(), ids=SERVERS)
def test_example(folder, command):
    """Started as its docstring says."""
    with Store({"SIGNING_KEY": "canary-0"}) as store, started(command, EXAMPLES / folder, store) as app:
        assert app.get("/readyz").json["ready"] is True
        assert app.get("/sign/hello").text == signature("canary-0")
        lives_through_rotation_and_outage(app, store, "SIGNING_KEY", "/sign/hello", signature)
        assert app.end() in {0, -signal.SIGTERM}
