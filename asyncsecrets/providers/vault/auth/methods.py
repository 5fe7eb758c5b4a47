"""The ways to log in. Each one makes a lease from what it was given, reading its files anew at every login."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from asyncsecrets.credential import Credential, revealed, shown_path, usable
from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError
from asyncsecrets.loops import in_thread
from asyncsecrets.providers.credential_files import read_credential_file
from asyncsecrets.providers.vault.auth.tokens import Lease, TokenApi, token_text
from asyncsecrets.providers.vault.auth.written import secret_id_in, token_in
from asyncsecrets.providers.vault.paths import SYSTEM
from asyncsecrets.providers.vault.settings import VaultSettings

__all__ = ["LoginMethod", "login_method", "read_credential"]

_WAYS = (
    "what to do: set VAULT_TOKEN, or another login's settings: HCP_VAULT_APPROLE_ROLE_ID, HCP_VAULT_KUBERNETES_ROLE, "
    "HCP_VAULT_JWT_FILE, HCP_VAULT_CLIENT_CERT, or beside a Vault Agent HCP_VAULT_AUTH_METHOD=none"
)


class LoginMethod(Protocol):
    """One way to a token.

    ``local``: a login asks nobody but this machine, so it needs no backoff, and its token is not ours to revoke.
    ``given``: the token was handed to us and its lease is unknown until looked up. ``way`` is what people call it.
    """

    local: bool
    given: bool
    way: str

    async def login(self, api: TokenApi, refused: str | None) -> Lease:
        """Return a lease. ``refused`` is the token that the server no longer accepts, or None."""


class GivenToken:
    """A token from the settings. There is no other: once refused, it stays refused."""

    local = True
    given = True
    way = "the token of the settings"

    def __init__(self, token: str | Credential[str]) -> None:
        self._token = token

    async def login(self, api: TokenApi, refused: str | None) -> Lease:  # noqa: ARG002 - asks nobody
        if self._token == refused:
            raise _refused(
                "the configured token is not valid: it expired, was revoked or mistyped, or belongs to another server\n"
                "what to do: set another one (VAULT_TOKEN, HCP_VAULT_TOKEN or token; vault login makes one)"
            )
        return Lease(revealed(self._token))


class NoToken:
    """None: a Vault Agent or Proxy adds its own to a request that brings none (``use_auto_auth_token``)."""

    local = True
    given = False
    way = "nobody: a Vault Agent or Proxy adds its own token"

    async def login(self, api: TokenApi, refused: str | None) -> Lease:  # noqa: ARG002 - asks nobody
        if refused is not None:
            raise _refused(
                "a request without a token was refused (auth_method: none): check that addr is a Vault Agent or Proxy, "
                "that it has auto_auth and use_auto_auth_token, and that its own login succeeds"
            )
        return Lease("")


class TokenFile:
    """A token in a file that somebody else writes: Vault Agent, ``vault login``, a sidecar.

    It is renewed by whoever writes it, or as a ``given`` one by us.
    """

    local = True

    def __init__(self, path: str, *, given: bool = False) -> None:
        self._path = path
        self.given = given
        self.way = f"the file {shown_path(path)}"

    async def login(self, api: TokenApi, refused: str | None) -> Lease:  # noqa: ARG002 - asks nobody
        token = await read_credential(self._path, "token_file", token_in)
        if token == refused:
            raise _refused(f"the token in {shown_path(self._path)} is not valid any more, and the file still holds it")
        return Lease(token)

    async def changed(self, token: str) -> str | None:
        """The file's token if it is a usable one and not ``token``."""
        try:
            found = await read_credential(self._path, "token_file", token_in)
        except AuthenticationError:
            return None  # being replaced: the one we have is still the best
        return found if found != token else None


class AppRole:
    """Role id and secret id; the latter from the settings, a file, or once from a response-wrapping token.

    A role that binds none is logged in to by its role id alone.
    """

    local = given = False
    way = "AppRole"

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._unwrapped: dict[str, str] = {}  # wrapping token -> secret id: a wrapping token opens only once

    async def login(self, api: TokenApi, refused: str | None) -> Lease:  # noqa: ARG002 - a login makes another token
        settings = self._settings
        secret_id = revealed(settings.approle_secret_id)
        if settings.approle_secret_id_file:
            parse = partial(secret_id_in, wrapped=settings.approle_secret_id_wrapped)
            secret_id = await read_credential(settings.approle_secret_id_file, "approle_secret_id_file", parse)
        if settings.approle_secret_id_wrapped:
            secret_id = await self._unwrap(api, secret_id)
        body = {"role_id": revealed(settings.approle_role_id)} | ({"secret_id": secret_id} if secret_id else {})
        return await api.login(settings.approle_mount_path, body)

    async def _unwrap(self, api: TokenApi, wrapping_token: str) -> str:
        if wrapping_token not in self._unwrapped:
            failed = False
            try:
                await self._check_envelope(api, token_text(wrapping_token, "approle_secret_id"))
                data = await api.unwrap(wrapping_token)
            except AuthenticationError:
                failed = True
            if failed or not isinstance(data.get("secret_id"), str):
                raise _refused(
                    "the wrapped secret id cannot be opened: its wrapping token expired, or was opened before. If that "
                    "was not us, somebody else has the secret id: revoke it and issue another"
                )
            self._unwrapped = {wrapping_token: data["secret_id"]}
        return self._unwrapped[wrapping_token]

    async def _check_envelope(self, api: TokenApi, wrapping_token: str) -> None:
        """Refuse what was wrapped elsewhere: who intercepts a secret id can put another answer in its place."""
        mount = self._settings.approle_mount_path.strip("/")
        path = await api.wrapped_at(wrapping_token)
        if not re.fullmatch(rf"(?:.*/)?auth/{re.escape(mount)}/role/[^/]+/(?:custom-)?secret-id", path):
            raise ConfigError(
                f"the wrapping token in approle_secret_id was not made for a secret id of the AppRole at {mount!r}; it "
                f"was not opened. Check approle_mount_path; if that is right, somebody may have replaced the token"
            )


class Certificate:
    """The TLS client certificate of the connection, read anew if it was rotated on disk."""

    local = given = False
    way = "TLS certificate"

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings

    async def login(self, api: TokenApi, refused: str | None) -> Lease:  # noqa: ARG002 - a login makes another token
        await api.reload_tls()
        role = self._settings.cert_role
        return await api.login(self._settings.cert_mount_path, {"name": role} if role else {})


class TokenFromFile:
    """A JWT in a file that the platform rotates: a Kubernetes service account token, a CI job's identity."""

    local = given = False

    def __init__(self, setting: str, path: str, mount: str, role: str) -> None:
        self._setting = setting
        self._path = path
        self._mount = mount
        self._role = role
        self.way = "Kubernetes service account" if setting == "kubernetes_token_file" else "JWT"

    async def login(self, api: TokenApi, refused: str | None) -> Lease:  # noqa: ARG002 - a login makes another token
        jwt = await read_credential(self._path, self._setting)
        body = {"jwt": jwt, "role": self._role} if self._role else {"jwt": jwt}
        return await api.login(self._mount, body)


def login_method(settings: VaultSettings) -> LoginMethod:
    """The login method that the settings describe."""
    match settings.method:
        case "none":
            return NoToken()
        case "token":
            return GivenToken(settings.token)
        case "token_file":
            return TokenFile(settings.token_file, given=settings.renew_token is True)
        case "approle":
            return AppRole(settings)
        case "cert":
            return Certificate(settings)
        case "kubernetes":
            path, mount = settings.kubernetes_token_file, settings.kubernetes_mount_path
            return TokenFromFile("kubernetes_token_file", path, mount, settings.kubernetes_role)
        case "jwt":
            return TokenFromFile("jwt_file", settings.jwt_file, settings.jwt_mount_path, settings.jwt_role)


async def read_credential(path: str, setting: str, parse: Callable[[str, str], str] = usable) -> str:
    """The credential in a file, read in a thread; ``parse`` takes it out of the text, and is told where that is.

    Raises AuthenticationError.
    """
    where = f"{setting} {shown_path(path)}"
    try:
        return await in_thread(lambda: parse(read_credential_file(path, where), where))
    except ConfigError as error:
        problem = str(error)
    # Where nothing else is configured, who has no such file never meant to. Of one that is there, only it is told.
    if Path(path).name == ".vault-token" and "cannot be read" in problem:
        problem = f"no login is configured, and {problem}\n{_WAYS}"
    raise _refused(problem)


def _refused(message: str) -> AsyncSecretsError:
    return AuthenticationError(f"{SYSTEM}: {message}", provider=SYSTEM)
