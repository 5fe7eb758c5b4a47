"""A Litestar app that signs texts with a key from Vault, and follows the key's rotations.

VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... uvicorn app:app
curl localhost:8000/sign/hello
"""

from __future__ import annotations

import hashlib
import hmac

from litestar import Litestar, MediaType, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from asyncsecrets.errors import TransientError
from asyncsecrets.integrations.litestar import SecretsPlugin, readyz, secret, unavailable
from asyncsecrets.integrations.serving import AppSecrets

secrets = AppSecrets(required=["SIGNING_KEY"])


@get("/sign/{text:str}", media_type=MediaType.TEXT)
async def sign(text: FromPath[str], signing_key: NamedDependency[str]) -> str:
    """Sign a text."""
    return hmac.new(signing_key.encode(), text.encode(), hashlib.sha256).hexdigest()


app = Litestar(
    [sign, readyz(secrets)],
    plugins=[SecretsPlugin(secrets)],
    dependencies={"signing_key": secret("SIGNING_KEY")},
    exception_handlers={TransientError: unavailable},
)
