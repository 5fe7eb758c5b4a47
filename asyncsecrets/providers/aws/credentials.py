"""Who we are at AWS: botocore's own chain, kept off the event loop.

The chain reads files, runs programs, asks metadata services and STS, and its asyncio port does most of that on the
loop. So the *synchronous* chain runs here, in a thread, and ``.renewal`` hands aiobotocore what it found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    AssumeRoleWithWebIdentityCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.utils import ContainerMetadataFetcher

from asyncsecrets.credential import revealed, shown_path, usable
from asyncsecrets.errors import AuthenticationError, ConfigError
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers.aws.errors import NO_CREDENTIALS
from asyncsecrets.providers.aws.mocked import detach
from asyncsecrets.providers.aws.models import PartitionLoader
from asyncsecrets.providers.aws.settings import AwsSettings, check_endpoint, endpoint_is_from, endpoint_of
from asyncsecrets.providers.aws.unattended import attend_to_itself, environment_of, read_variables
from asyncsecrets.providers.aws.unattended import replace_attribute as _replace
from asyncsecrets.providers.aws.wire import Container, Wire, bundle_of
from asyncsecrets.providers.credential_files import read_credential_file

__all__ = ["configure", "load_credentials"]

_LONGEST_TOKEN: Final = 20_000
_CONTAINER: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_MACHINE: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"


def configure(session: Any, settings: AwsSettings) -> None:
    """Tell a botocore or aiobotocore session what the settings say, their environment included."""
    read_variables(session, environment_of(settings))
    if settings.profile:
        session.set_config_variable("profile", settings.profile)
    if settings.region:
        session.set_config_variable("region", settings.region)
    if session.get_config_variable("defaults_mode") == "auto":
        # It would ask the machine which region it is in, in clear, to choose the timeouts that our settings give.
        session.set_config_variable("defaults_mode", "standard")
    session.register_component("data_loader", PartitionLoader(session.get_component("data_loader")))


class _Session(botocore.session.Session):  # type: ignore[misc]  # botocore has no types
    """Makes the clients that credentials come through, those deep inside of botocore's chain included.

    They send tokens and receive keys, so they keep the rule for plain http that holds for secrets.
    """

    def __init__(self, settings: AwsSettings) -> None:
        super().__init__()
        self._settings = settings

    def create_client(self, service_name: str, *args: Any, **options: Any) -> Any:
        settings, environ = self._settings, environment_of(self._settings)
        _check_nested(options)
        own = settings.sts_endpoint if service_name == "sts" else ""
        source = endpoint_is_from(service_name, "aws_sts_endpoint" if own else "", environ)
        where = f"{source}: the endpoint of {service_name.upper()}"
        options["endpoint_url"] = given = endpoint_of(service_name, own, environ)
        if given:  # of what is no address, botocore says only that
            check_endpoint(given, where, insecure=settings.allow_insecure_http)
        client = super().create_client(service_name, *args, **options)
        check_endpoint(client.meta.endpoint_url, where, insecure=settings.allow_insecure_http)
        return client


def load_credentials(settings: AwsSettings) -> Credentials:
    """Find the credentials anew. Blocks: for a thread. Raises AuthenticationError, ConfigError and botocore's own."""
    session = _Session(settings)
    configure(session, settings)
    environ = settings.variables()
    ca_bundle = bundle_of(session.get_config_variable("ca_bundle"), environ)
    timeout = settings.connect_timeout, settings.attempt_timeout
    where, insecure = "the endpoint that credentials come from", settings.allow_insecure_http
    wire = Wire(where, timeout, ca_bundle, insecure=insecure, environ=environ)
    detach(session)
    session.register("before-send", wire.send)
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
        extra["ExternalId"] = revealed(settings.external_id)
    fetcher = AssumeRoleCredentialFetcher(create, found, settings.role, extra_args=extra, cache={})
    return _renewing(fetcher, "assume-role")


def _renewing(fetcher: Any, method: str) -> Credentials:
    fetcher.feature_ids = set()
    return DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method=method)


def _chain(session: Any, settings: AwsSettings) -> Credentials:
    """Keys of the settings, their profile, keys of the environment, then everything else that botocore knows."""
    if settings.access_key_id:
        keys = (settings.access_key_id, settings.secret_access_key, settings.session_token or None)
        return Credentials(*map(revealed, keys), "explicit")
    if not settings.profile and (own := _of_variables(Tidied(settings.variables()))):
        return own
    resolver = session.get_component("credential_provider")
    attend_to_itself(session, resolver, environment_of(settings))
    resolver.remove("env")
    _reroute(session, resolver, settings)
    found = resolver.load_credentials()
    if found is None:
        raise AuthenticationError(NO_CREDENTIALS, provider="aws")
    return found


def _of_variables(environ: Mapping[str, str]) -> Credentials | None:
    """The keys of the environment. AWS_SECURITY_TOKEN is what AWS_SESSION_TOKEN was called once."""
    names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    found = [name for name in names if name in environ]
    if len(found) == 1:
        raise ConfigError(f"{' and '.join(names)} are needed together")
    if not found:
        return None
    names += [name for name in ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN") if name in environ][:1]
    return Credentials(*(usable(environ[name], name) for name in names), method="env")


def _check_nested(options: dict[str, Any]) -> None:
    """Look at the keys that a profile's role is assumed with, before STS is asked by them."""
    for option in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        if options.get(option):
            options[option] = usable(options[option], f"{option} of the credentials that a role is assumed with")


def _reroute(session: Any, resolver: Any, settings: AwsSettings) -> None:
    """Have the chain ask the services beside a container and a machine by our rules; its nested profiles share both.

    botocore has no public way. Where the attributes are gone, as where the providers are, an error says so.
    """
    environ, insecure = settings.variables(), settings.allow_insecure_http
    ca_bundle = bundle_of(session.get_config_variable("ca_bundle"), environ)
    container, machine = resolver.get_provider("container-role"), resolver.get_provider("iam-role")
    seconds = float(ContainerMetadataFetcher.TIMEOUT_SECONDS)
    _replace(container, "_fetcher", Container(Wire(_CONTAINER, (seconds, seconds), ca_bundle, environ=environ)))
    seconds = float(session.get_config_variable("metadata_service_timeout"))
    wire = Wire(_MACHINE, (seconds, seconds), ca_bundle, insecure=insecure, environ=environ)
    _replace(machine._role_fetcher, "_session", wire)  # noqa: SLF001


def _is_own_role(settings: AwsSettings) -> bool:
    """Whether the chain's web identity (EKS) already is the role: a role may seldom assume itself."""
    environ = Tidied(settings.variables())
    return bool(environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")) and environ.get("AWS_ROLE_ARN") == settings.role


def _web_identity(settings: AwsSettings) -> str:
    """The token to show to STS, read anew each time: files of tokens are rewritten as they expire."""
    given: str = revealed(settings.web_identity_token)
    environ = Tidied(settings.variables())
    if given.startswith("oidc/env/"):
        variable = given.removeprefix("oidc/env/")
        return _sized(usable(_variable(environ, variable), f"the environment variable {variable}"))
    if given.startswith("oidc/env_path/"):
        given = _variable(environ, given.removeprefix("oidc/env_path/"))
    elif given.startswith("oidc/file/"):
        given = given.removeprefix("oidc/file/")
    elif given.startswith("oidc/"):
        raise ConfigError("aws_web_identity_token can be a file, a token, oidc/file/…, oidc/env/… or oidc/env_path/…")
    elif given.count(".") == 2 and "/" not in given:
        return _sized(usable(given, "aws_web_identity_token"))
    where = f"the file {shown_path(given)} of aws_web_identity_token"
    try:
        return _sized(usable(read_credential_file(given, where), where))
    except ConfigError as error:
        problem = str(error)
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
