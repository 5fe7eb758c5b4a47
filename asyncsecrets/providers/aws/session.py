"""One long-lived client per source: made in a thread, signed for by ``.signing``, sent by ``.transport``.

The client itself belongs to no event loop; the transport's session does, and a renewal of credentials that is under
way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from asyncsecrets.errors import AsyncSecretsError, ConfigError
from asyncsecrets.providers.aws.codes import STALE
from asyncsecrets.providers.aws.credentials import configure, load_credentials
from asyncsecrets.providers.aws.errors import NO_REGION, translate
from asyncsecrets.providers.aws.mocked import detach
from asyncsecrets.providers.aws.refusals import Call, code_of
from asyncsecrets.providers.aws.settings import AwsSettings, check_endpoint, endpoint_is_from, endpoint_of
from asyncsecrets.providers.aws.signing import SigningCredentials, without_traceback
from asyncsecrets.providers.aws.transport import Transport
from asyncsecrets.providers.aws.unattended import environment_of
from asyncsecrets.providers.aws.wire import bundle_of, trusting
from asyncsecrets.providers.https import HttpsConnection
from asyncsecrets.providers.sdk import Outcome
from asyncsecrets.sending import is_settled

__all__ = ["Connection"]

_WORD_START: Final = re.compile(r"(?<!^)(?=[A-Z])")


class Connection(HttpsConnection):
    """Calls operations of one AWS service (``secretsmanager``, ``kms``) for the provider ``system``."""

    chatty: ClassVar[tuple[str, ...]] = ("aioboto3", "aiobotocore", "boto3", "botocore")
    terse: ClassVar[Mapping[str, Any]] = {"botocore.credentials": without_traceback}

    _https: Transport

    def __init__(self, service: str, system: str, settings: AwsSettings) -> None:
        super().__init__(system)
        self._service = service
        self._settings = settings
        self._client: Any = None
        self._signing = SigningCredentials(
            lambda: load_credentials(settings), Call(system, "credentials"), held=self.discreet
        )
        self._https = Transport(settings, system)
        self.region = settings.region

    async def call(
        self,
        operation: str,
        name: str | None,
        parameters: Mapping[str, Any],
        *,
        unless: frozenset[str] = frozenset(),
    ) -> dict[str, Any] | None:
        """Call ``operation`` (``GetSecretValue``) about the secret ``name``: one attempt.

        None is the answer if AWS's code is among ``unless``. Raises our errors, ClosedError.
        """
        call = Call(self._system, operation, name, self.region)
        answer: dict[str, Any] | None = await self._ask(call, lambda: self._attempt(call, unless, parameters))
        return answer

    @property
    def _credentials(self) -> SigningCredentials:
        return self._signing

    async def _attempt(self, call: Call, unless: frozenset[str], parameters: Mapping[str, Any]) -> Outcome:
        method = getattr(self._client, _WORD_START.sub("_", call.operation).lower())
        shown = None
        try:
            shown = await self._signing.current()  # not to be waited for in one's turn
            async with self._https.turns.turn():
                answer: dict[str, Any] = await method(**parameters)
        except Exception as failure:  # noqa: BLE001  # translated, whatever it is
            code = code_of(failure)
            error = translate(call, failure, self._https.proxy)
            if call.writes and code is not None and not getattr(error, "outcome_unknown", False):
                is_settled()
            if code in unless:
                return Outcome()
        else:
            return Outcome(answer)
        return self._failed(call, error, shown if code in STALE else None)

    def _make(self) -> None:
        # Not in debug mode: a slow start here keeps nobody waiting, and asyncio would complain of it all the same.
        with asyncio.Runner(debug=False) as runner:
            self._client = runner.run(self._new_client())
        meta = self._client.meta
        self._check(meta.endpoint_url)
        meta.events.register(f"before-send.{meta.service_model.service_id.hyphenize()}", self._https.send)
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
        bundle = bundle_of(session.get_config_variable("ca_bundle"), settings.variables())
        self._https.prepare(client.meta.endpoint_url, lambda: trusting(bundle))
        return client

    def _misconfigured(self, failure: Exception) -> AsyncSecretsError:
        error = translate(Call(self._system, "open", None, self.region), failure)
        if isinstance(error, ConfigError):
            return error
        what = "the AWS settings cannot be used: check aws_region_name, aws_endpoint_url and AWS_CA_BUNDLE"
        return ConfigError(f"{self._system}: {what} ({type(failure).__name__})")


class _Chain:
    """Where aiobotocore looks for credentials: it finds ours."""

    def __init__(self, credentials: SigningCredentials) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> SigningCredentials:
        return self._credentials
