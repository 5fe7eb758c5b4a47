"""Every way to log in, ready to use against a dev server with TLS: what a client has to be set to."""

from __future__ import annotations

import ssl

import aiohttp

from asyncsecrets.testing.vault_server import VaultServer
from tests.providers.vault.backend import Issuer

POLICY = """
path "secret/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
"""
SECRET_ID = "canary-secret-id"


def serve():
    """A dev server with TLS, whose cluster vouches for every service account."""
    user = {"username": "system:serviceaccount:default:app", "uid": "canary-uid", "groups": []}

    def review(token, audiences):
        return {"authenticated": True, "user": user, "audiences": audiences}

    server = VaultServer(root_token="canary-root-token", tls=True, token_review=review)
    server.write_policy("app", POLICY)
    return server


def write(path, text):
    """A credential file."""
    path.write_text(text + "\n")
    return str(path)


async def token(server, folder):
    """A token in the settings."""
    return {"token": server.create_token("app", ttl="1h", id="canary-given-token")}


async def token_file(server, folder):
    """A token in a file."""
    return {"token_file": write(folder / "token", server.create_token("app", ttl="1h", id="canary-token-in-file"))}


async def approle(server, folder):
    """Role id and secret id."""
    server.call("update", "sys/auth/approle", {"type": "approle"})
    server.call("update", "auth/approle/role/app", {"token_policies": "app", "token_ttl": "1h"})
    server.call("update", "auth/approle/role/app/role-id", {"role_id": "canary-role-id"})
    server.call("update", "auth/approle/role/app/custom-secret-id", {"secret_id": SECRET_ID})
    return {"approle_role_id": "canary-role-id", "approle_secret_id": SECRET_ID}


async def wrapped(server, folder):
    """A secret id in a file, behind a wrapping token."""
    settings = await approle(server, folder)
    await wrap(server, folder)
    del settings["approle_secret_id"]
    return settings | {"approle_secret_id_file": str(folder / "wrapped"), "approle_secret_id_wrapped": True}


async def wrap(server, folder):
    """A new wrapping token in the file: each opens only once."""
    headers = {"X-Vault-Token": server.root_token, "X-Vault-Wrap-TTL": "1h"}
    context = ssl.create_default_context(cafile=server.ca_file)
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{server.url}/v1/sys/wrapping/wrap", json={"secret_id": SECRET_ID}, ssl=context) as answer,
    ):
        write(folder / "wrapped", (await answer.json())["wrap_info"]["token"])


async def cert(server, folder):
    """A TLS client certificate."""
    certificate = server.client_certificate("app")
    server.call("update", "sys/auth/cert", {"type": "cert"})
    role = {"certificate": certificate.pem, "token_policies": "app", "token_ttl": "1h"}
    server.call("update", "auth/cert/certs/app", role)
    return {"client_cert": certificate.cert_file, "client_key": certificate.key_file, "cert_role": "app"}


async def jwt(server, folder):
    """A JWT in a file."""
    issuer = Issuer()
    server.call("update", "sys/auth/jwt", {"type": "jwt"})
    server.call("update", "auth/jwt/config", {"jwt_validation_pubkeys": [issuer.public_key]})
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": "app"}
    server.call("update", "auth/jwt/role/app", role | {"token_ttl": "1h"})
    return {"jwt_role": "app", "jwt_file": write(folder / "jwt", issuer.sign())}


async def kubernetes(server, folder):
    """A service account's token in a file."""
    claims = {
        "iss": "https://kubernetes.default.svc",
        "aud": ["https://kubernetes.default.svc"],
        "sub": "system:serviceaccount:default:app",
        "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "app", "uid": "canary-uid"}},
    }
    server.call("update", "sys/auth/kubernetes", {"type": "kubernetes"})
    config = {"kubernetes_host": "https://127.0.0.1:1", "disable_iss_validation": True}
    server.call("update", "auth/kubernetes/config", config)
    role = {"bound_service_account_names": "app", "bound_service_account_namespaces": "default"}
    server.call("update", "auth/kubernetes/role/app", role | {"token_policies": "app", "token_ttl": "1h"})
    file = write(folder / "service-account", Issuer().sign(**claims))
    return {"kubernetes_role": "app", "kubernetes_token_file": file}


LOGINS = [token, token_file, approle, wrapped, cert, jwt, kubernetes]
