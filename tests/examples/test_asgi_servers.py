"""The examples of FastAPI, Starlette and Django, and servers that fork workers: a rotation is seen without a restart,
the store's death and return leave no failed request, and at the start each worker asks for each secret once."""

from __future__ import annotations

import hashlib
import hmac
import signal

import pytest

from tests.examples.serving import EXAMPLES, Store, lives_through_rotation_and_outage, started

UVICORN = ["-m", "uvicorn", "--port", "0"]
GRANIAN = ["-m", "granian", "--interface", "asgi", "--port", "{port}"]
GUNICORN = ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--worker-class", "uvicorn_worker.UvicornWorker"]

_LISTENER = ["-W", "ignore:unclosed <socket.socket fd=3:ResourceWarning"]  # uvicorn's own, in the parent, at its end

SERVERS = {
    "fastapi-uvicorn-workers": ("fastapi_app", [*_LISTENER, *UVICORN, "--workers", "2", "app:app"], 2),
    "django-uvicorn": ("django_app", [*UVICORN, "app:application"], 1),
    "starlette-gunicorn-preload": ("starlette_app", [*GUNICORN, "--preload", "--workers", "2", "app:app"], 2),
}


def signature(key: str) -> str:
    """What each of them answers for /sign/hello."""
    return hmac.new(key.encode(), b"hello", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("folder", "command", "workers"), SERVERS.values(), ids=SERVERS)
def test_example(folder, command, workers):
    """Started as its docstring says, or by a server that loads it before it forks."""
    with Store({"SIGNING_KEY": "canary-0"}) as store, started(command, EXAMPLES / folder, store) as app:
        app.wait(lambda: store.reads("SIGNING_KEY") >= workers, "each worker has read what it needs")
        assert app.get("/readyz").json["ready"] is True
        assert app.get("/sign/hello").text == signature("canary-0")
        if folder == "django_app":
            assert app.get("/sign-in-a-thread/hello").text == signature("canary-0")
        lives_through_rotation_and_outage(app, store, "SIGNING_KEY", "/sign/hello", signature)
        assert app.end() in {0, -signal.SIGTERM}


def test_each_worker_asks_once():
    """Each has a client of its own, which keeps what it has read."""
    command = [*GRANIAN, "--workers", "2", "app:app"]
    with (
        Store({"SIGNING_KEY": "canary-0"}) as store,
        started(command, EXAMPLES / "starlette_app", store, refresh=300) as app,
    ):
        app.wait(lambda: store.reads("SIGNING_KEY") >= 2, "each worker has read what it needs")
        assert {app.get("/sign/hello").text for _ in range(10)} == {signature("canary-0")}
        assert store.reads("SIGNING_KEY") == 2
        assert app.end() in {0, -signal.SIGTERM}
