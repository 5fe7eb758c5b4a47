"""The settings of a source at AWS, checked when they are made. Nothing is read but the arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

from asyncsecrets.boundary import configured, configuring
from asyncsecrets.credential import BLANKS, Credential, conceal, concealed, revealed, usable
from asyncsecrets.errors import ConfigError
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers.fields import WithEnviron, fields_of
from asyncsecrets.providers.loopback import is_loopback

__all__ = ["AwsSettings", "check_endpoint", "endpoint_is_from", "endpoint_of"]

_REGION: Final = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_ROLE: Final = re.compile(r"arn:aws[a-z-]{0,20}:iam::[0-9]{12}:role/[\x21-\x7e]{1,512}", re.ASCII)
_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_=,.@-]{2,64}", re.ASCII)


@configured
@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings(WithEnviron):
    """Where AWS is and who we are there; times in seconds.

    Credentials are, in this order: ``access_key_id`` with ``secret_access_key`` (and ``session_token``); the profile
    ``profile``; ``AWS_ACCESS_KEY_ID`` and its companions in ``environ``; whatever botocore's chain finds. With ``role``
    they assume that role, under ``session_name`` and with ``external_id``; with ``web_identity_token`` the role is
    assumed by that token instead (see ``asyncsecrets.providers.aws.credentials``).

    ``region`` is the secret's (default: the environment's, then the profile's). ``endpoint`` and ``sts_endpoint``
    replace AWS's own addresses. ``recovery_window_days`` (7 to 30) is how long a deleted secret can be restored,
    ``force_delete`` deletes for good. With ``recover_deleted`` a ``put`` to a name that is scheduled for deletion takes
    that back, and adds a version. ``description``, ``tags``, ``replica_regions`` and ``kms_key_id`` go to secrets
    that are created; at KMS ``kms_key_id`` is the key and ``encryption_context`` what the ciphertext is bound to.

    Blanks around a text do not matter, nor do slashes at the end of an address and a dot at the end of its host.
    Credentials, and the environment, are given as they are and kept as ``Credential``. Raises ConfigError for what
    cannot work.
    """

    environ: Mapping[str, str] | Credential[Mapping[str, str]] = field(default_factory=dict, compare=False)
    access_key_id: str | Credential[str] = ""
    secret_access_key: str | Credential[str] = ""
    session_token: str | Credential[str] = ""
    profile: str = ""
    region: str = ""
    role: str = ""
    session_name: str = "asyncsecrets"
    external_id: str | Credential[str] = ""
    web_identity_token: str | Credential[str] = ""
    endpoint: str = ""
    sts_endpoint: str = ""
    allow_insecure_http: bool = False
    connect_timeout: float = 2.0
    attempt_timeout: float = 5.0
    max_connections: int = 50
    kms_key_id: str = ""
    encryption_context: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    replica_regions: tuple[str, ...] = ()
    recovery_window_days: int = 30
    force_delete: bool = False
    recover_deleted: bool = False

    def __post_init__(self) -> None:
        WithEnviron.__post_init__(self)  # a dataclass with slots is another class than its methods were made in
        conceal(self, *_SECRET)
        self._tidy_up()
        self._look_at_credentials()
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ConfigError("aws_access_key_id and aws_secret_access_key are needed together")
        if self.session_token and not self.access_key_id:
            raise ConfigError("aws_session_token needs aws_access_key_id and aws_secret_access_key")
        if self.web_identity_token and not self.role:
            raise ConfigError("aws_web_identity_token needs aws_role_name: the ARN of the role to assume with it")
        self._check_texts()
        if not 7 <= self.recovery_window_days <= 30:
            raise ConfigError("recovery_window_days must be from 7 to 30, which is what Secrets Manager offers")
        for where, address in (("aws_endpoint_url", self.endpoint), ("aws_sts_endpoint", self.sts_endpoint)):
            if address:
                check_endpoint(address, where, insecure=self.allow_insecure_http)

    def _tidy_up(self) -> None:
        for name in ("profile", "region", "role", "session_name", "kms_key_id"):
            object.__setattr__(self, name, getattr(self, name).strip())
        for name in ("endpoint", "sts_endpoint"):
            object.__setattr__(self, name, _tidy(getattr(self, name)))

    def _look_at_credentials(self) -> None:
        for name in _SECRET:
            text: str = revealed(getattr(self, name))
            found = usable(text, f"aws_{name}") if name in _KEYS else text.strip(BLANKS)
            object.__setattr__(self, name, concealed(found))

    def _check_texts(self) -> None:
        if self.role and not _ROLE.fullmatch(self.role):
            raise ConfigError("aws_role_name must be the ARN of a role: arn:aws:iam::123456789012:role/NAME")
        if self.role and not _SESSION_NAME.fullmatch(self.session_name):
            raise ConfigError("aws_session_name must be 2 to 64 letters, digits and _ = , . @ -")
        for name, regions in (("aws_region_name", (self.region or "x",)), ("replica_regions", self.replica_regions)):
            if not all(_REGION.fullmatch(region) for region in regions):
                raise ConfigError(f"{name} must be a region such as eu-central-1")

    @classmethod
    @configuring
    def from_mapping(cls, system: str, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Build from checked ``key_management_settings`` of ``system`` and an environment. Raises ConfigError.

        Credentials of the environment are not taken up here: they are looked up whenever credentials are loaded.
        """
        return cls(environ=environ, **fields_of(system, settings, environ, _NAMES, "aws_", later=_CREDENTIALS))


_SECRET: Final = ("access_key_id", "secret_access_key", "session_token", "external_id", "web_identity_token")
_KEYS: Final = _SECRET[:3]
_CREDENTIALS: Final = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
_NAMES: Final = {
    "aws_endpoint_url": "endpoint",
    "aws_profile_name": "profile",
    "aws_region_name": "region",
    "aws_role_name": "role",
}


def check_endpoint(address: str, where: str, *, insecure: bool) -> None:
    """Raise ConfigError unless secrets may be sent to ``address``: https, or http to this machine."""
    parts = _parts(address)
    if parts is None or parts.scheme not in {"http", "https"} or parts.username or parts.password:
        raise ConfigError(
            f"{where} must be an address such as https://vpce-0123.secretsmanager.eu-central-1.amazonaws.com"
        )
    if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"{where} is plain http to another machine: every secret would cross the network readable. Use https, or "
            f"set allow_insecure_http: true if the network itself is encrypted (or there is nothing to protect)"
        )


def _parts(address: str) -> SplitResult | None:
    """The parts of an address with a host and a possible port, or None."""
    try:
        parts = urlsplit(address)
        return parts if parts.hostname and parts.port != 0 and not _GAP.search(address) else None
    except ValueError:  # which quotes it
        return None


def endpoint_of(service: str, configured: str, environ: Mapping[str, str]) -> str | None:
    """The endpoint that replaces AWS's own, as botocore would find it in an environment that was handed in.

    ``configured`` comes first. None: AWS's own, or a profile's.
    """
    environ = Tidied(environ)
    if configured or environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return configured or None
    return _tidy(environ.get(_endpoint_variable(service)) or environ.get("AWS_ENDPOINT_URL") or "") or None


def endpoint_is_from(service: str, configured: str, environ: Mapping[str, str]) -> str:
    """What to change where the endpoint of ``service`` is no good: a variable, or a profile's ``endpoint_url``.

    ``configured`` is the setting, if the endpoint is one.
    """
    variables = _endpoint_variable(service), "AWS_ENDPOINT_URL"
    return configured or next((name for name in variables if name in Tidied(environ)), "the profile's endpoint_url")


def _endpoint_variable(service: str) -> str:
    """botocore's variable for one service: the name is made of its id, and few are not as they are called."""
    name = {"secretsmanager": "secrets_manager"}.get(service, service)
    return f"AWS_ENDPOINT_URL_{name.upper().replace('-', '_')}"


def _tidy(address: str) -> str:
    """An address without what a file or a shell may have left around it, and without the dot behind a full host name.

    A signature holds for the name as it is written, and aiohttp sends it without the dot.
    """
    return _DOT.sub(r"\1", address.strip().rstrip("/"))


_GAP: Final = re.compile(r"[^\x21-\x7e]")
_DOT: Final = re.compile(r"(?<=//)([^/:]*[A-Za-z0-9])\.(?=(?::[0-9]+)?(?:/|$))")
