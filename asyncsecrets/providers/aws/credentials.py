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
from botocore.exceptions import ClientError

from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError
from asyncsecrets.providers.aws.codes import STALE
from asyncsecrets.providers.aws.errors import NO_CREDENTIALS, Call, code_of, translate
from asyncsecrets.providers.aws.models import PartitionLoader
from asyncsecrets.providers.aws.settings import AwsSettings, check_endpoint, endpoint_of
from asyncsecrets.providers.files import read_regular

__all__ = ["SigningCredentials", "configure", "load_credentials", "terse_renewals"]

_AHEAD: Final = 15 * 60.0
_AT_LEAST: Final = 60.0
_APART: Final = 60.0
_QUICK: Final = 3
_LONGEST: Final = 60.0
_LONGEST_TOKEN: Final = 20_000

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


class _Session(botocore.session.Session):  # type: ignore[misc]  # botocore has no types
    """Makes the clients that credentials come through, those deep inside of botocore's chain included.

    They send tokens and receive keys, so they keep the rule for plain http that holds for secrets.
    """

    def __init__(self, settings: AwsSettings) -> None:
        super().__init__()
        self._settings = settings

    def create_client(self, service_name: str, *args: Any, **options: Any) -> Any:
        settings = self._settings
        if service_name == "sts":
            options["endpoint_url"] = endpoint_of("sts", settings.sts_endpoint, settings.environ)
        client = super().create_client(service_name, *args, **options)
        where = f"the endpoint of {service_name.upper()}"
        check_endpoint(client.meta.endpoint_url, where, insecure=settings.allow_insecure_http)
        return client


def load_credentials(settings: AwsSettings) -> Credentials:
    """Find the credentials anew. Blocks: for a thread. Raises AuthenticationError, ConfigError and botocore's own."""
    session = _Session(settings)
    configure(session, settings)
    # It is for the nested STS and SSO clients of the chain too: our retries are the only ones.
    session.set_default_client_config(
        Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.attempt_timeout,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
    )
    create = session.create_client
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


def _web_identity(settings: AwsSettings) -> str:
    """The token to show to STS, read anew each time: files of tokens are rewritten as they expire."""
    given = settings.web_identity_token
    if given.startswith("oidc/env/"):
        return _sized(_variable(settings.environ, given.removeprefix("oidc/env/")))
    if given.startswith("oidc/env_path/"):
        given = _variable(settings.environ, given.removeprefix("oidc/env_path/"))
    elif given.startswith("oidc/file/"):
        given = given.removeprefix("oidc/file/")
    elif given.startswith("oidc/"):
        raise ConfigError("aws_web_identity_token can be a file, a token, oidc/file/…, oidc/env/… or oidc/env_path/…")
    elif given.count(".") == 2 and "/" not in given:
        return _sized(given)
    try:
        return _sized(read_regular(Path(given)).decode("ascii").strip())
    except (OSError, ValueError, ConfigError):
        problem = "aws_web_identity_token names a file that cannot be read as a token: is it one, and may it be read?"
    raise AuthenticationError(problem, provider="aws")


def _sized(token: str) -> str:
    if not 4 <= len(token) <= _LONGEST_TOKEN:
        text = f"the token of aws_web_identity_token has {len(token):,} characters; STS takes 4 to {_LONGEST_TOKEN:,}"
        raise AuthenticationError(text, provider="aws")
    return token


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

    ``call`` says who asks, for errors; ``clock`` is in monotonic seconds; ``held`` makes a context for the thread,
    which may be at work longer than this is open. One instance serves one event loop at a time.
    """

    method = "asyncsecrets"

    def __init__(
        self,
        load: Callable[[], Credentials],
        call: Call,
        *,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._load = load
        self._held = held
        self._call = call
        self._clock = clock
        self._tried = -_APART
        self._found: Any = None
        self._frozen: Any = None
        self._renewal: asyncio.Task[None] | None = None
        self._problem: AsyncSecretsError | None = None
        self._in_vain = 0
        self._resume = 0.0

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
        """AWS refused ``rejected``: load anew, unless somebody has. Return whether there is something else to show.

        Renewals that lead to nothing are made three at once, and then 1, 2, 4 … 60 seconds apart.
        """
        if self._frozen == rejected and (self._renewal is not None or self._clock() >= self._resume):
            if self._renewal is None:
                self._found = None
            await self._renewed(because_rejected=True)
        return bool(self._frozen != rejected)

    def accepted(self) -> None:
        """AWS took what was shown: the next renewal need not wait."""
        self._in_vain = 0
        self._resume = 0.0

    def forget(self) -> None:
        """Drop what belongs to a loop, or to the parent of a fork (botocore's credentials hold a lock)."""
        self._renewal = self._found = self._frozen = self._problem = None
        self._tried = self._clock() - _APART
        self.accepted()

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

    async def _renewed(self, *, because_rejected: bool = False) -> None:
        if self._renewal is None and self._problem is not None and self._clock() < self._resume:
            raise copy.copy(self._problem)
        renewal = self._begin(because_rejected=because_rejected)
        await asyncio.wait({renewal})  # not awaited directly: a cancelled caller would cancel it for all
        if renewal.cancelled():
            raise self._call.error(AuthenticationError, "loading the AWS credentials was cut off")
        error = renewal.exception()
        if error is not None:
            raise copy.copy(error)

    def _begin(self, *, because_rejected: bool = False) -> asyncio.Task[None]:
        if self._renewal is None:
            self._tried = self._clock()
            work = self._renew(because_rejected=because_rejected)
            self._renewal = asyncio.get_running_loop().create_task(work, name="asyncsecrets-aws-credentials")
            self._renewal.add_done_callback(self._ended)
        return self._renewal

    def _ended(self, renewal: asyncio.Task[None]) -> None:
        if self._renewal is renewal:
            self._renewal = None
        if not renewal.cancelled():
            renewal.exception()  # retrieved: a renewal ahead of time has nobody who waits for it

    async def _renew(self, *, because_rejected: bool) -> None:
        problem: AsyncSecretsError | None = None
        try:
            await self._in_thread()
        except Exception as error:  # noqa: BLE001  # a chain of credentials may raise anything
            problem = translate(self._call, error)
        self._problem = copy.copy(problem)
        if problem is not None or because_rejected:
            self._has_been_in_vain()
        if problem is not None:
            raise problem

    def _has_been_in_vain(self) -> None:
        """Until AWS takes what was loaded, count: one renewal more has led to nothing."""
        self._in_vain += 1
        pause = min(_LONGEST, 2.0 ** min(self._in_vain - _QUICK, 9)) if self._in_vain >= _QUICK else 0.0
        self._resume = self._clock() + pause

    async def _in_thread(self) -> None:
        """Work in a thread, which goes on when this is cancelled: no thread can be ended."""
        loop, held, begun = asyncio.get_running_loop(), contextlib.ExitStack(), []
        held.enter_context(self._held())

        def work() -> None:
            begun.append(True)
            try:
                self._work()
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is closed: it is held for good
                    loop.call_soon_threadsafe(held.close)

        try:
            await asyncio.to_thread(work)
        finally:
            if not begun:
                held.close()

    def _work(self) -> None:
        # It returns nothing: an executor's future shows its result in its repr.
        if self._found is not None and self._has_renewed(self._found):
            return
        found = self._load()
        self._frozen = found.get_frozen_credentials()
        self._found = found

    def _has_renewed(self, found: Any) -> bool:
        """Renew what was found before; False if what it renews itself with has expired and must be found anew."""
        try:
            self._frozen = found.get_frozen_credentials()
        except ClientError as failure:
            if code_of(failure) not in STALE:
                raise
            return False
        return True
