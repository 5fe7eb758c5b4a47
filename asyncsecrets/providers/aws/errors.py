"""The one place where what botocore, aiohttp and AWS say becomes an error of ours.

An error that AWS answered with is judged in ``refusals``; here is what is no answer: the way to AWS, and credentials.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import aiohttp
from botocore import exceptions as botocore

from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    ProviderError,
    UnavailableError,
)
from asyncsecrets.providers.aws.refusals import Call, invalid, refused
from asyncsecrets.providers.loopback import ElsewhereError, is_elsewhere
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.tls import certificate_fault, doubts_issuer
from asyncsecrets.providers.tunnels import fault_of

__all__ = [
    "EncodedError",
    "RedirectedError",
    "TooLargeError",
    "translate",
    "translate_chain",
]


class RedirectedError(Exception):
    """AWS answered with a redirect, which is not followed: the request holds secrets."""


class EncodedError(Exception):
    """The answer is compressed, which was not asked for."""


class TooLargeError(Exception):
    """The answer is longer than any that AWS gives."""


def translate(call: Call, failure: BaseException, proxy: Proxy | None = None) -> AsyncSecretsError:
    """Return what ``failure`` means. Raise it outside the ``except`` block: the failure may hold secrets.

    ``proxy`` is what was to carry the request to AWS.
    """
    if isinstance(failure, AsyncSecretsError):
        return failure
    if isinstance(failure, botocore.ClientError):
        return refused(call, failure)
    fault = fault_of(failure, proxy, "AWS") if proxy is not None else None
    if fault is not None:
        return fault.error(call.says(fault.text), provider=call.system, name=call.name)
    return _failed(call, failure, proxy)


def translate_chain(call: Call, failure: BaseException) -> AsyncSecretsError:
    """The same for a failure to find credentials: where neither AWS nor the way to it failed, what gives them did.

    Programs, files and services may give anything, and botocore passes on what Python makes of it.
    """
    if isinstance(failure, (*_SDK, *_INSECURE, EncodedError, ElsewhereError, ConnectionError, TimeoutError)):
        return translate(call, failure)
    if isinstance(failure, OSError):
        why = "the program or a file that they come from is not there, or cannot be run or read"
    elif type(failure) is RuntimeError:
        why = "those that were given have expired (is this machine's clock right?)"
    else:
        why = f"what was given makes no sense ({type(failure).__name__})"
    return call.error(AuthenticationError, f"{_NOT_OBTAINED}: {why}; {_WHENCE}")


_LOGIN: Final = getattr(botocore, "LoginError", botocore.SSOError)  # `aws login`, which older ones do not know
_CREDENTIALS: Final = (
    _LOGIN,
    botocore.CredentialRetrievalError,
    botocore.MetadataRetrievalError,
    botocore.SSOError,
    botocore.TokenRetrievalError,
    botocore.RefreshWithMFAUnsupportedError,
)
_SETTINGS: Final = (
    botocore.ProfileNotFound,
    botocore.ConfigNotFound,
    botocore.ConfigParseError,
    botocore.InvalidConfigError,
    botocore.InvalidRegionError,
    botocore.InfiniteLoopConfigError,
    botocore.UnknownCredentialError,
    botocore.PartialCredentialsError,
    botocore.UnknownServiceError,
    botocore.BaseEndpointResolverError,
    botocore.EndpointProviderError,
)
_UNSENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientProxyConnectionError)
_INSECURE: Final = (aiohttp.ClientSSLError, botocore.SSLError, ssl.SSLError, ssl.CertificateError)
_BROKEN: Final = (
    aiohttp.ClientError,
    botocore.HTTPClientError,
    botocore.ConnectionError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
)


def _failed(call: Call, failure: BaseException, proxy: Proxy | None = None) -> AsyncSecretsError:
    if isinstance(failure, botocore.NoCredentialsError):
        return call.error(AuthenticationError, NO_CREDENTIALS)
    if isinstance(failure, botocore.NoRegionError):
        return ConfigError(f"{call.system}: {NO_REGION}")
    if isinstance(failure, _CREDENTIALS):
        return call.error(AuthenticationError, f"{_NOT_OBTAINED}: {_anew(failure) or _WHENCE}")
    if isinstance(failure, botocore.ParamValidationError):  # found here: nothing was sent
        return invalid(call)
    if isinstance(failure, _SETTINGS):
        what = _PROBLEMS.get(type(failure).__name__, "the AWS configuration of this machine or source is wrong")
        return ConfigError(f"{call.system}: {what} ({type(failure).__name__})")
    if is_elsewhere(failure):
        return call.error(InsecureTransportError, _ELSEWHERE)
    if isinstance(failure, _INSECURE):
        return call.error(InsecureTransportError, _tls_failed(failure, proxy))
    return _unanswered(call, failure)


def _tls_failed(failure: BaseException, proxy: Proxy | None) -> str:
    fault = certificate_fault(failure)
    shown = f" ({fault})" if fault else ""
    opener = "somebody" if proxy is None else str(proxy)
    if not doubts_issuer(fault):
        return f"TLS to AWS failed{shown}: check the endpoint and this machine's clock, or does {opener} open TLS?"
    return f"TLS to AWS failed{shown}: is AWS_CA_BUNDLE right, or does {opener} open TLS? Then name its CA there"


def _anew(failure: BaseException) -> str:
    """What a person has to do where a login of theirs has run out, or nothing."""
    if isinstance(failure, (botocore.SSOError, botocore.TokenRetrievalError)):
        return "the single sign-on has run out: run `aws sso login` (with --profile, for one that is not the default)"
    return "the login has run out: run `aws login`" if isinstance(failure, _LOGIN) else ""


def _unanswered(call: Call, failure: BaseException) -> ProviderError:
    if isinstance(failure, RedirectedError):
        return call.error(InsecureTransportError, "AWS does not redirect, and the endpoint did; it is not followed")
    if isinstance(failure, EncodedError):
        return call.error(MalformedResponseError, _ENCODED, unknown=True)
    if isinstance(failure, TooLargeError):
        return call.error(MalformedResponseError, "the answer is too large to be one of AWS", unknown=True)
    if isinstance(failure, _UNSENT):
        return call.error(UnavailableError, f"AWS cannot be reached{call.place}: check region, endpoint and network")
    if isinstance(failure, _BROKEN):
        late = isinstance(failure, (TimeoutError, botocore.ReadTimeoutError, botocore.ConnectTimeoutError))
        text = "AWS did not answer in time" if late else "the connection to AWS broke"
        return call.error(UnavailableError, text, unknown=True)
    # A parser's complaint: it may quote the answer, so only its class is told.
    return call.error(MalformedResponseError, f"the answer makes no sense ({type(failure).__name__})", unknown=True)


_ENCODED: Final = (
    "the answer is compressed, which was not asked for: a proxy does that, or what stands in for AWS; have it leave "
    "AWS's answers as they are"
)
_SDK: Final = (AsyncSecretsError, botocore.BotoCoreError, botocore.ClientError)
_NOT_OBTAINED: Final = "the AWS credentials could not be obtained"
_WHENCE: Final = "check the profile (its credential_process), the container or the instance role they come from"
NO_CREDENTIALS: Final = (
    "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (aws_profile_name or "
    "AWS_PROFILE), or give the machine, pod or container a role"
)
_ELSEWHERE: Final = (
    "localhost is another machine, by this one's hosts file or DNS, and plain http does not leave this one: nothing "
    "was sent. Mend that, or write 127.0.0.1"
)
NO_REGION: Final = (
    "no AWS region: set AWS_REGION_NAME (or AWS_REGION, AWS_DEFAULT_REGION), the setting aws_region_name, or a region "
    "in the profile"
)
_PROBLEMS: Final = {
    "ProfileNotFound": "there is no such AWS profile: check aws_profile_name, AWS_PROFILE and ~/.aws/config",
    "InvalidRegionError": "aws_region_name cannot be a region",
    "PartialCredentialsError": "one half of the AWS credentials is missing: a key needs its secret key, and the "
    "role_arn of a profile its source_profile or credential_source",
    "InfiniteLoopConfigError": "profiles lead in a circle: check role_arn and source_profile in ~/.aws/config",
    "InvalidConfigError": "a profile is incomplete or contradicts itself: check its role_arn, source_profile and "
    "credential_source (or sso_…) in ~/.aws/config, and AWS_ROLE_ARN beside AWS_WEB_IDENTITY_TOKEN_FILE",
    "ConfigParseError": "~/.aws/config or ~/.aws/credentials (see AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE) "
    "cannot be parsed: it needs [sections] of key = value lines, and no byte order mark",
}
