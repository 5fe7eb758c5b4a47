"""The one place where what botocore, aiohttp and AWS say becomes an error of ours.

An error that AWS answered with is judged in ``refusals``; here is what is no answer: the way to AWS, and credentials.
"""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp
from botocore import exceptions as botocore

from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    MalformedResponseError,
)
from asyncsecrets.providers.aws.refusals import Call, invalid, refused
from asyncsecrets.providers.loopback import ElsewhereError
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.unanswered import EncodedError, Server, failed_tls, unanswered, was_cut_off

__all__ = ["translate", "translate_chain"]


def translate(call: Call, failure: BaseException, proxy: Proxy | None = None) -> AsyncSecretsError:
    """Return what ``failure`` means. Raise it outside the ``except`` block: the failure may hold secrets.

    ``proxy`` is what was to carry the request to AWS.
    """
    if isinstance(failure, AsyncSecretsError):
        return failure
    if isinstance(failure, botocore.ClientError):
        return refused(call, failure)
    server = Server("AWS", "AWS_CA_BUNDLE", "region, endpoint and network", call.place)
    error = _of_botocore(call, failure, server, proxy) or unanswered(call, failure, server, proxy)
    # What else there is, is a parser's complaint: it may quote the answer, so only its class is told.
    text = f"the answer makes no sense ({type(failure).__name__})"
    return error or call.error(MalformedResponseError, text, unknown=True)


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
_INSECURE: Final = (aiohttp.ClientSSLError, botocore.SSLError, ssl.SSLError, ssl.CertificateError)


def _of_botocore(call: Call, failure: BaseException, server: Server, proxy: Proxy | None) -> AsyncSecretsError | None:
    """What botocore itself finds."""
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
    if isinstance(failure, botocore.SSLError):
        return failed_tls(call, failure, server, proxy)
    if isinstance(failure, (botocore.HTTPClientError, botocore.ConnectionError)):
        late = isinstance(failure, (botocore.ReadTimeoutError, botocore.ConnectTimeoutError))
        return was_cut_off(call, server, late=late)
    return None


def _anew(failure: BaseException) -> str:
    """What a person has to do where a login of theirs has run out, or nothing."""
    if isinstance(failure, (botocore.SSOError, botocore.TokenRetrievalError)):
        return "the single sign-on has run out: run `aws sso login` (with --profile, for one that is not the default)"
    return "the login has run out: run `aws login`" if isinstance(failure, _LOGIN) else ""


_SDK: Final = (AsyncSecretsError, botocore.BotoCoreError, botocore.ClientError)
_NOT_OBTAINED: Final = "the AWS credentials could not be obtained"
_WHENCE: Final = "check the profile (its credential_process), the container or the instance role they come from"
NO_CREDENTIALS: Final = (
    "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (aws_profile_name or "
    "AWS_PROFILE), or give the machine, pod or container a role"
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
