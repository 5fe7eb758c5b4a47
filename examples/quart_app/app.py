"""A Quart app that signs texts with a key from Vault, and follows the key's rotations.

VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... hypercorn app:app
curl localhost:8000/sign/hello
"""

from __future__ import annotations

import hashlib
import hmac

from quart import Quart

from asyncsecrets.errors import TransientError
from asyncsecrets.integrations.quart import init_app, readyz, secret, unavailable
from asyncsecrets.integrations.serving import AppSecrets

secrets = AppSecrets(required=["SIGNING_KEY"])

app = Quart(__name__)
init_app(app, secrets)
app.add_url_rule("/readyz", view_func=readyz(secrets))
app.register_error_handler(TransientError, unavailable)


@app.get("/sign/<text>")
async def sign(text: str) -> str:
    """Sign a text."""
    key: str = await secret("SIGNING_KEY")
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
