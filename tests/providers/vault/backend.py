"""A server set up over its own HTTP API, so that the same steps prepare the dev server and a real one."""

from __future__ import annotations

import base64
import json
import time

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

READER = """
path "secret/data/*" { capabilities = ["read", "create", "update"] }
path "secret/metadata/*" { capabilities = ["list", "read"] }
"""


class Backend:
    """`await backend("POST", "sys/auth/approle", {...})` with the root token; raises what the server refuses.

    A body of bytes is sent as it is.
    """

    def __init__(self, url, token, ssl=True):
        self.url = url
        self.token = token
        self.ssl = ssl

    async def __call__(self, method, path, body=None, namespace="", token=None):
        headers = {"X-Vault-Token": token or self.token} | ({"X-Vault-Namespace": namespace} if namespace else {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.url}/v1/{path}", data=body, ssl=self.ssl) as answer,
        ):
            text = await answer.text()
            if answer.status >= 400:
                raise ValueError(f"{method} {path}: {answer.status} {text}")
            return json.loads(text) if text else {}

    async def enable(self, kind, path=None, namespace=""):
        """Enable an auth method anew."""
        path = path or kind
        await self("DELETE", f"sys/auth/{path}", namespace=namespace)
        await self("POST", f"sys/auth/{path}", {"type": kind}, namespace=namespace)
        await self("POST", "sys/policies/acl/reader", {"policy": READER}, namespace=namespace)

    async def approle(self, path="approle", namespace="", **role):
        """An AppRole; returns the settings that log in with it."""
        await self.enable("approle", path, namespace)
        role = {"token_policies": "reader", **role}
        await self("POST", f"auth/{path}/role/canary", role, namespace=namespace)
        role_id = (await self("GET", f"auth/{path}/role/canary/role-id", namespace=namespace))["data"]["role_id"]
        secret = await self("POST", f"auth/{path}/role/canary/secret-id", {}, namespace=namespace)
        settings = {"approle_role_id": role_id, "approle_secret_id": secret["data"]["secret_id"]}
        return settings if path == "approle" else settings | {"approle_mount_path": path}

    async def write(self, name="name", value="canary-value", namespace=""):
        """A secret."""
        path = f"secret/data/{name}"
        await self("POST", path, {"data": {"key": value}}, namespace=namespace)


class Issuer:
    """Signs JWTs."""

    def __init__(self):
        self._key = rsa.generate_private_key(65537, 2048)
        encoding = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        self.public_key = self._key.public_key().public_bytes(*encoding).decode()

    def sign(self, **claims):
        """An RS256 token."""
        now = int(time.time())
        claims = {"iss": "canary", "sub": "app", "aud": "vault", "iat": now, "exp": now + 600, **claims}
        parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
        signature = self._key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, _base64(signature)])


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
