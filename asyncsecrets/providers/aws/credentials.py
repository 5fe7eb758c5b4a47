"""Who we are at AWS: botocore's own chain, kept off the event loop, and renewed before it has to be.

The chain reads files, runs programs, asks metadata services and STS, and its asyncio port does most of that on the
loop. So the *synchronous* chain runs here, in a thread, and :class:`SigningCredentials` hands aiobotocore what it
found. Whoever signs never waits while the credentials in hand are good for another minute: a renewal begins a quarter
of an hour before they expire.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    AssumeRoleWithWebIdentityCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
)

from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError
from asyncsecrets.providers.aws.errors import NO_CREDENTIALS, Call, translate
from asyncsecrets.providers.aws.models import PartitionLoader
from asyncsecrets.providers.aws.settings import AwsSettings

__all__ = ["SigningCredentials", "configure", "load_credentials", "terse_renewals"]

_AHEAD: Final = 15 * 60.0
_AT_LEAST: Final = 60.0
_APART: Final = 60.0

_VARIABLES: Final = {
    "AWS_CA_BUNDLE": "ca_bundle",
    "AWS_CONFIG_FILE": "config_file",
    "AWS_PROFILE": "profile",
    "AWS_SHARED_CREDENTIALS_FILE": "credentials_file",
}


def configure(session: Any, settings: AwsSettings) -> None:
    """Tell a botocore or aiobotocore session what the settings say.

    botocore reads the process's environment; another one that was handed in is passed on where botocore can be told.
    """
    if settings.environ is not os.environ:
        for variable, option in _VARIABLES.items():
            if value := settings.environ.get(variable):
                session.set_config_variable(option, value)
    if settings.profile:
        session.set_config_variable("profile", settings.profile)
    if settings.region:
        session.set_config_variable("region", settings.region)
    session.register_component("data_loader", PartitionLoader(session.get_component("data_loader")))


def load_credentials(settings: AwsSettings) -> Credentials:
    """Find the credentials anew. Blocks: for a thread. Raises AuthenticationError, ConfigError and botocore's own."""
    session = botocore.session.Session()
    configure(session, settings)
    # It is for the nested STS and SSO clients of the chain too: our retries are the only ones.
    session.set_default_client_config(
        Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.attempt_timeout,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
    )
    create = _sts_client(session, settings)
    extra = {"RoleSessionName": settings.session_name}
    if settings.web_identity_token:
        web = AssumeRoleWithWebIdentityCredentialFetcher(
            create, lambda: _web_identity(settings), settings.role, extra_args=extra, cache={}
        )
        return _renewing(web, "assume-role-with-web-identity")
    found = _chain(session, settings)
    if not settings.role or _is_own_role(settings):
        return found
    if settings.external_id:
        extra["ExternalId"] = settings.external_id
    fetcher = AssumeRoleCredentialFetcher(create, found, settings.role, extra_args=extra, cache={})
    return _renewing(fetcher, "assume-role")


def _renewing(fetcher: Any, method: str) -> Credentials:
    fetcher.feature_ids = set()
    return DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method=method)


def _chain(session: Any, settings: AwsSettings) -> Credentials:
    """Keys of the settings, their profile, keys of the environment, then everything else that botocore knows."""
    if settings.access_key_id:
        return Credentials(
            settings.access_key_id, settings.secret_access_key, settings.session_token or None, "explicit"
        )
    environ = settings.environ
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not settings.profile and (key or secret):
        if not (key and secret):
            raise ConfigError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed together")
        return Credentials(key, secret, environ.get("AWS_SESSION_TOKEN") or None, "env")
    resolver = session.get_component("credential_provider")
    resolver.remove("env")
    found = resolver.load_credentials()
    if found is None:
        raise AuthenticationError(NO_CREDENTIALS, provider="aws")
    return found


def _is_own_role(settings: AwsSettings) -> bool:
    """Whether the chain's web identity (EKS) already is the role: a role may seldom assume itself."""
    environ = settings.environ
    return bool(environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")) and environ.get("AWS_ROLE_ARN") == settings.role


def _sts_client(session: Any, settings: AwsSettings) -> Callable[..., Any]:
    def create(service: str, **options: Any) -> Any:
        return session.create_client(service, endpoint_url=settings.sts_endpoint or None, **options)

    return create


def _web_identity(settings: AwsSettings) -> str:
    """The token to show to STS, read anew each time: files of tokens are rewritten as they expire."""
    given = settings.web_identity_token
    if given.startswith("oidc/env/"):
        return _variable(settings.environ, given.removeprefix("oidc/env/"))
    if given.startswith("oidc/env_path/"):
        given = _variable(settings.environ, given.removeprefix("oidc/env_path/"))
    elif given.startswith("oidc/file/"):
        given = given.removeprefix("oidc/file/")
    elif given.startswith("oidc/"):
        raise ConfigError("aws_web_identity_token can be a file, a token, oidc/file/…, oidc/env/… or oidc/env_path/…")
    elif given.count(".") == 2 and "/" not in given:
        return given
    try:
        return Path(given).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        problem = "aws_web_identity_token names a file that cannot be read as a token"
    raise AuthenticationError(problem, provider="aws")


def _variable(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise ConfigError(f"aws_web_identity_token needs the environment variable {name[:200]!a}, which is not set")
    return environ[name]


class _Terse(logging.Filter):
    """Takes the traceback from a record: that of a failed renewal ends with what somebody's server said."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


@contextlib.contextmanager
def terse_renewals() -> Iterator[None]:
    """Let botocore say that a renewal failed, and not how: that is told to the caller who needs the credentials."""
    terse, logger = _Terse(), logging.getLogger("botocore.credentials")
    logger.addFilter(terse)
    try:
        yield
    finally:
        logger.removeFilter(terse)


class SigningCredentials:
    """What aiobotocore signs with: the credentials that ``load`` finds, in a thread, renewed ahead of their expiry.

    ``call`` says who asks, for errors; ``clock`` is in monotonic seconds. One instance serves one event loop at a time.
    """

    method = "asyncsecrets"

    def __init__(
        self, load: Callable[[], Credentials], call: Call, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._call = call
        self._clock = clock
        self._tried = -_APART
        self._found: Any = None
        self._frozen: Any = None
        self._renewal: asyncio.Task[None] | None = None

    @property
    def current(self) -> Any:
        """What was last signed with, or None; only good for comparing."""
        return self._frozen

    def get_deferred_property(self, _: str) -> Callable[[], None]:
        """None, when asked: what botocore puts into some services' endpoints, and not into ours."""
        return lambda: None

    async def get_account_id(self) -> None:
        """None, for the same reason."""

    async def get_frozen_credentials(self) -> Any:
        """The credentials for one request. Raises AuthenticationError, AccessDeniedError, ConfigError, …"""
        if self._found is None or self._frozen is None or self._expires_within(_AT_LEAST):
            await self._renewed()
        elif self._expires_within(_AHEAD) and self._clock() - self._tried >= _APART:
            self._begin()
        return self._frozen

    async def renew(self, rejected: Any) -> bool:
        """AWS refused ``rejected``: load anew, unless somebody has. Return whether there is something else to show."""
        if self._frozen == rejected:
            self._found = None
            await self._renewed()
        return bool(self._frozen != rejected)

    def forget(self) -> None:
        """Drop what belongs to a loop, or to the parent of a fork (botocore's credentials hold a lock)."""
        self._renewal = self._found = self._frozen = None
        self._tried = self._clock() - _APART

    async def aclose(self) -> None:
        """End a renewal that is under way."""
        renewal = self._renewal
        if renewal is not None:
            renewal.cancel()
            await asyncio.wait({renewal})
        self.forget()

    def _expires_within(self, seconds: float) -> bool:
        needed = getattr(self._found, "refresh_needed", None)
        return needed is not None and bool(needed(seconds))

    async def _renewed(self) -> None:
        renewal = self._begin()
        await asyncio.wait({renewal})  # not awaited directly: a cancelled caller would cancel it for all
        if renewal.cancelled():
            raise self._call.error(AuthenticationError, "loading the AWS credentials was cut off")
        error = renewal.exception()
        if error is not None:
            raise copy.copy(error)

    def _begin(self) -> asyncio.Task[None]:
        if self._renewal is None:
            self._tried = self._clock()
            self._renewal = asyncio.get_running_loop().create_task(self._renew(), name="asyncsecrets-aws-credentials")
            self._renewal.add_done_callback(self._ended)
        return self._renewal

    def _ended(self, renewal: asyncio.Task[None]) -> None:
        if self._renewal is renewal:
            self._renewal = None
        if not renewal.cancelled():
            renewal.exception()  # retrieved: a renewal ahead of time has nobody who waits for it

    async def _renew(self) -> None:
        problem: AsyncSecretsError | None = None
        try:
            await asyncio.to_thread(self._work)
        except Exception as error:  # noqa: BLE001  # a chain of credentials may raise anything
            problem = translate(self._call, error)
        if problem is not None:
            raise problem

    def _work(self) -> None:
        # It returns nothing: an executor's future shows its result in its repr.
        found = self._found if self._found is not None else self._load()
        self._frozen = found.get_frozen_credentials()
        self._found = found
