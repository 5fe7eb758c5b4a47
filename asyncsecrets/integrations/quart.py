"""Quart: the app's secrets are open from before its first function runs until after the last.

::

    app = Quart(__name__)
    init_app(app, AppSecrets(required=["SIGNING_KEY"]))

    @app.get("/sign/<text>")
    async def sign(text: str) -> str:
        key = await secret("SIGNING_KEY")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from quart import Quart, Response, current_app, jsonify
from quart.signals import got_serving_exception

from asyncsecrets.boundary import afresh
from asyncsecrets.client import SecretsClient
from asyncsecrets.integrations.kinds import MISSING, reading
from asyncsecrets.integrations.readiness import NO_STORE, UNAVAILABLE, retry_after
from asyncsecrets.integrations.serving import AppSecrets

__all__ = ["init_app", "readyz", "secret", "secrets_client", "unavailable"]

_EXTENSION: Final = "asyncsecrets"


def init_app(app: Quart, secrets: AppSecrets) -> None:
    """Open ``secrets`` when ``app`` starts and close them when it ends, whatever ends it.

    Functions of ``before_serving``, ``while_serving`` and ``after_serving`` find them open, wherever they stand.
    """

    async def end(*_: object, **__: Any) -> None:
        await secrets.aclose()

    async def begin() -> None:
        app.after_serving_funcs.remove(end)
        app.after_serving_funcs.append(end)  # last, for what was registered after this
        await secrets.start()

    app.extensions[_EXTENSION] = secrets
    app.before_serving_funcs.insert(0, begin)
    app.after_serving_funcs.append(end)
    # When a function fails as the app starts or ends, Quart calls no other; but it says so.
    got_serving_exception.connect(end, app)


async def secrets_client() -> SecretsClient:
    """Return the client of the current app. It is opened by this where the app was not started, as in
    ``app.test_client()`` without ``app.test_app()``.

    Raises KeyError for an app without ``init_app``.
    """
    secrets: AppSecrets = current_app.extensions[_EXTENSION]
    return await secrets.reach()


@afresh
async def secret(name: str, kind: type = str, *, default: object = MISSING) -> Any:
    """Return the value of a secret of the current app.

    ``kind`` is ``str``, ``bool`` (as ``get_secret_bool`` reads it) or ``Secret``. ``default`` is returned if, and only
    if, the secret does not exist. Everything else raises ``AsyncSecretsError``, which Quart answers with 500, or with
    503 where ``unavailable`` handles what is transient.
    """
    return await reading(name, kind, default)(await secrets_client())


def readyz(secrets: AppSecrets) -> Callable[[], Awaitable[Response]]:
    """Return a view for a readiness probe: 200 if ``secrets`` are ready, else 503; and why, as JSON."""

    async def readyz() -> Response:
        readiness = await secrets.probe()
        return _json(readiness.as_dict(), readiness.http_status, NO_STORE)

    return readyz


async def unavailable(error: Exception) -> Response:
    """Answer 503 for a secret that cannot be had for the moment:
    ``app.register_error_handler(TransientError, unavailable)``.

    The body says nothing of it.
    """
    return _json(UNAVAILABLE, 503, retry_after(error))


def _json(body: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> Response:
    response = jsonify(body)
    response.status_code = status
    response.headers.update(headers)
    return response
