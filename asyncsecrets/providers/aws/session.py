"""One long-lived client per source: made in a thread, signed for by ``.renewal``, sent by ``.transport``.

The client itself belongs to no event loop; the transport's session does, and a renewal of credentials that is under
way. So a provider that is closed and opened again, on this loop or another, keeps its client.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from asyncsecrets.errors import AsyncSecretsError, ClosedError, ConfigError, ProviderError
from asyncsecrets.loops import in_thread, running_loop
from asyncsecrets.providers.aws.codes import STALE
from asyncsecrets.providers.aws.credentials import configure, load_credentials
from asyncsecrets.providers.aws.errors import NO_REGION, translate
from asyncsecrets.providers.aws.mocked import detach
from asyncsecrets.providers.aws.quiet import without_collections
from asyncsecrets.providers.aws.refusals import Call, code_of
from asyncsecrets.providers.aws.renewal import SigningCredentials, terse_renewals
from asyncsecrets.providers.aws.settings import AwsSettings, check_endpoint, endpoint_is_from, endpoint_of
from asyncsecrets.providers.aws.transport import Transport
from asyncsecrets.providers.aws.unattended import environment_of
from asyncsecrets.redaction import contain, contain_new
from asyncsecrets.sending import is_settled

__all__ = ["Connection"]

_CHATTY: Final = ("aioboto3", "aiobotocore", "boto3", "botocore")
_WORD_START: Final = re.compile(r"(?<!^)(?=[A-Z])")


class Connection:
    """Calls operations of one AWS service (``secretsmanager``, ``kms``) for the provider ``system``."""

    def __init__(self, service: str, system: str, settings: AwsSettings) -> None:
        self._service = service
        self._system = system
        self._settings = settings
        self._client: Any = None
        self._leash: contextlib.ExitStack | None = None
        self._credentials = SigningCredentials(
            lambda: load_credentials(settings), Call(system, "credentials"), held=_discreet
        )
        self._transport = Transport(settings, system)
        self.region = settings.region

    async def open(self) -> None:
        """Make the client, in a thread, and the session. Nothing is sent. Raises ConfigError."""
        if self._transport.is_open:
            return
        running_loop()
        leash = contextlib.ExitStack()
        leash.enter_context(_discreet())
        problem: AsyncSecretsError | None = None
        try:
            if self._client is None:
                await in_thread(self._make_client)
            self._transport.open()
        except Exception as error:  # noqa: BLE001  # botocore raises ValueError and others for bad settings
            problem = self._misconfigured(error)
        finally:
            if not self._transport.is_open:
                leash.close()
        if problem is not None:
            raise problem
        self._leash = leash

    async def call(
        self,
        operation: str,
        name: str | None,
        parameters: Mapping[str, Any],
        *,
        unless: frozenset[str] = frozenset(),
    ) -> dict[str, Any] | None:
        """Call ``operation`` (``GetSecretValue``) about the secret ``name``: one attempt.

        Credentials that have expired, or that AWS does not know, are loaded anew, and if they have changed they are
        shown once more. None is the answer if AWS's code is among ``unless``. Raises our errors, ClosedError.
        """
        if not self._transport.is_open:
            raise ClosedError(f"the {self._system} provider is not open")
        contain_new()
        call = Call(self._system, operation, name, self.region)
        outcome = await self._attempt(call, unless, parameters)
        if outcome.stale is not None and await self._has_others(call, outcome.stale):
            outcome = await self._attempt(call, unless, parameters)
        if outcome.error is not None:
            raise outcome.error
        self._credentials.accepted()
        return outcome.answer

    async def aclose(self) -> None:
        """Close what ``open`` made for the loop; the client stays for another ``open``."""
        leash, self._leash = self._leash, None
        await self._transport.aclose()
        await self._credentials.aclose()
        if leash is not None:
            leash.close()

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone, or to the parent of a fork."""
        leash, self._leash = self._leash, None
        self._transport.abandon()
        self._credentials.forget()
        if leash is not None:
            leash.close()

    async def _attempt(self, call: Call, unless: frozenset[str], parameters: Mapping[str, Any]) -> _Outcome:
        method = getattr(self._client, _WORD_START.sub("_", call.operation).lower())
        shown = None
        try:
            shown = await self._credentials.get_frozen_credentials()  # not to be waited for in one's turn
            async with self._transport.turns.turn():
                answer: dict[str, Any] = await method(**parameters)
        except Exception as failure:  # noqa: BLE001  # translated, whatever it is
            code = code_of(failure)
            error = translate(call, failure, self._transport.proxy)
            if call.writes and code is not None and not getattr(error, "outcome_unknown", False):
                is_settled()
            if code in unless:
                return _Outcome()
        else:
            return _Outcome(answer)
        if not self._transport.is_open:
            return _Outcome(error=ClosedError(f"{self._system} was closed meanwhile"))
        return _Outcome(error=_named(error, call), stale=shown if code in STALE else None)

    async def _has_others(self, call: Call, rejected: Any) -> bool:
        problem: AsyncSecretsError
        try:
            return await self._credentials.renew(rejected)
        except AsyncSecretsError as error:
            problem = _named(error, call)
        raise problem

    def _make_client(self) -> None:
        # Not in debug mode: a slow start here keeps nobody waiting, and asyncio would complain of it all the same.
        with without_collections(), asyncio.Runner(debug=False) as runner:
            self._client = runner.run(self._new_client())
        meta = self._client.meta
        self._check(meta.endpoint_url)
        meta.events.register(f"before-send.{meta.service_model.service_id.hyphenize()}", self._transport.send)
        self.region = meta.region_name

    def _check(self, endpoint: str) -> None:
        """Look at an endpoint, and name what it is from."""
        settings = self._settings
        own = "aws_endpoint_url" if settings.endpoint else ""
        where = endpoint_is_from(self._service, own, environment_of(settings))
        check_endpoint(endpoint, where, insecure=settings.allow_insecure_http)

    async def _new_client(self) -> Any:
        settings = self._settings
        session = AioSession()
        configure(session, settings)
        detach(session)
        session.register_component("credential_provider", _Chain(self._credentials))
        region = settings.region or session.get_config_variable("region")
        if not region:
            raise ConfigError(f"{self._system}: {NO_REGION}")
        endpoint = endpoint_of(self._service, settings.endpoint, settings.variables())
        if endpoint:  # of what is no address, botocore says only that
            self._check(endpoint)
        config = AioConfig(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.attempt_timeout,
        )
        # It is entered and not left: what it would close is its own transport, which is never used.
        client = await session.create_client(
            self._service,
            region_name=region,
            config=config,
            endpoint_url=endpoint,
        ).__aenter__()
        self._transport.prepare(client.meta.endpoint_url, session.get_config_variable("ca_bundle"))
        return client

    def _misconfigured(self, failure: Exception) -> AsyncSecretsError:
        self._client = None
        error = translate(Call(self._system, "open", None, self.region), failure)
        if isinstance(error, ConfigError):
            return error
        what = "the AWS settings cannot be used: check aws_region_name, aws_endpoint_url and AWS_CA_BUNDLE"
        return ConfigError(f"{self._system}: {what} ({type(failure).__name__})")


@contextlib.contextmanager
def _discreet() -> Iterator[None]:
    """Keep the SDK from logging secrets and credentials."""
    with contain(*_CHATTY), terse_renewals():
        yield


class _Outcome(NamedTuple):
    """What came of an attempt. The error is a value, so that no failure of botocore's is its context when raised."""

    answer: dict[str, Any] | None = None
    error: AsyncSecretsError | None = None
    stale: Any = None
    """The credentials that were shown, where others might be accepted."""


class _Chain:
    """Where aiobotocore looks for credentials: it finds ours."""

    def __init__(self, credentials: SigningCredentials) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> SigningCredentials:
        return self._credentials


def _named(error: AsyncSecretsError, call: Call) -> AsyncSecretsError:
    """``error``, saying which secret it is about where it does not yet: credentials know nothing of secrets."""
    if not isinstance(error, ProviderError) or error.name == call.name:
        return error
    named = copy.copy(error)
    named.message = call.says(error.message.removeprefix(f"{call.system}: "))
    named.provider, named.name = call.system, call.name
    return named
