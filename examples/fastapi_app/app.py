"""A FastAPI app that signs texts with a key from Vault, and follows the key's rotations.

VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... uvicorn app:app
curl localhost:8000/sign/hello
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from asyncsecrets.errors import TransientError
from asyncsecrets.integrations.fastapi import lifespan, readyz, secret, unavailable
from asyncsecrets.integrations.serving import AppSecrets

secrets = AppSecrets(required=["SIGNING_KEY"])

app = FastAPI(lifespan=lifespan(secrets))
app.add_exception_handler(TransientError, unavailable)
app.add_api_route("/readyz", readyz(secrets), include_in_schema=False)


@app.get("/sign/{text}", response_class=PlainTextResponse)
async def sign(text: str, signing_key: Annotated[str, secret("SIGNING_KEY")]) -> str:
    """Sign a text."""
    return hmac.new(signing_key.encode(), text.encode(), hashlib.sha256).hexdigest()
