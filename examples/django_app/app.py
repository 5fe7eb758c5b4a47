"""A Django app that signs texts with a key from Vault, and follows the key's rotations.

VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... uvicorn app:application
curl localhost:8000/sign/hello
"""

from __future__ import annotations

import hashlib
import hmac

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from asyncsecrets import get_secret
from asyncsecrets.integrations.asgi import with_secrets
from asyncsecrets.integrations.serving import AppSecrets

settings.configure(ALLOWED_HOSTS=["localhost", "127.0.0.1"], ROOT_URLCONF=__name__)

secrets = AppSecrets(required=["SIGNING_KEY"])


async def sign(_: HttpRequest, text: str) -> HttpResponse:
    """Sign a text."""
    return HttpResponse(signature(await get_secret("SIGNING_KEY"), text).encode(), content_type="text/plain")


def sign_in_a_thread(_: HttpRequest, text: str) -> HttpResponse:
    """The same in a view that is not async: what was read at the start is at hand without waiting."""
    key = secrets.client.peek("SIGNING_KEY")
    if key is None:
        return HttpResponse(status=503)
    return HttpResponse(signature(key.reveal(), text).encode(), content_type="text/plain")


def signature(key: str, text: str) -> str:
    """Sign ``text``."""
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


urlpatterns = [path("sign/<text>", sign), path("sign-in-a-thread/<text>", sign_in_a_thread)]

application = with_secrets(get_asgi_application(), secrets, readyz="/readyz")
