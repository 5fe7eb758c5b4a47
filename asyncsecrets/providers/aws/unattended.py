"""botocore's chain of credentials for a program that nobody sits at, in an environment as it is found.

botocore takes an empty variable for a value, line breaks of a file for a part of the token in it, and whoever holds the
program's standard input for somebody who types an MFA code. There is no public way to tell it otherwise. Where an
attribute that is set here is gone, an error says so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NoReturn

from botocore.configprovider import ConfigChainFactory
from botocore.credentials import AssumeRoleWithWebIdentityProvider, EnvProvider, ProcessProvider

from asyncsecrets.credential import shown_path, usable
from asyncsecrets.errors import AuthenticationError, ConfigError
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers.aws.settings import AwsSettings
from asyncsecrets.providers.credential_files import read_credential_file

__all__ = ["attend_to_itself", "checked_keys", "environment_of", "read_variables", "replace_attribute"]

_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  # a variable, not a token


def environment_of(settings: AwsSettings) -> Mapping[str, str]:
    """The variables that credentials and their ways are read from: those of the settings, then the process's."""
    return Tidied(settings.variables(), os.environ)


def read_variables(session: Any, environ: Mapping[str, str]) -> None:
    """Have a botocore or aiobotocore session read its options from ``environ``."""
    store, chains = session.get_component("config_store"), ConfigChainFactory(session=session, environ=environ)
    for option, (keys, variables, default, conversion) in session.session_var_map.items():
        chain = chains.create_config_chain(
            instance_name=option,
            env_var_names=variables,
            config_property_names=keys,
            default=default,
            conversion_func=conversion,
        )
        store.set_config_provider(option, chain)


def attend_to_itself(session: Any, resolver: Any, environ: Mapping[str, str]) -> None:
    """Have the providers of ``resolver``, those that profiles lead to included, read ``environ`` and ask nobody."""
    roles, container = resolver.get_provider("assume-role"), resolver.get_provider("container-role")
    machine = resolver.get_provider("iam-role")._role_fetcher  # noqa: SLF001
    replace_attribute(machine, "_disabled", environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true")
    replace_attribute(roles, "_prompter", partial(_refuse_to_prompt, session))
    replace_attribute(container, "_build_headers", partial(_container_headers, environ))
    files = [resolver.get_provider(method) for method in ("ec2-credentials-file", "boto-config")]
    for provider in (container, *files):
        replace_attribute(provider, "_environ", environ)
    for provider in roles._credential_sourcer._providers:  # noqa: SLF001
        if isinstance(provider, EnvProvider):
            replace_attribute(provider, "environ", environ)
    of_a_profile = roles._profile_provider_builder.providers  # noqa: SLF001
    replace_attribute(roles._profile_provider_builder, "providers", partial(_unattended, of_a_profile, environ))  # noqa: SLF001
    for provider in resolver.providers:
        _attend(provider, environ)


def replace_attribute(owner: Any, attribute: str, value: Any) -> None:
    """Set what is there already. Raises AttributeError where botocore has changed."""
    getattr(owner, attribute)
    setattr(owner, attribute, value)


def _unattended(
    providers: Callable[..., list[Any]], environ: Mapping[str, str], *args: Any, **options: Any
) -> list[Any]:
    found = providers(*args, **options)
    for provider in found:
        _attend(provider, environ)
    return found


def _attend(provider: Any, environ: Mapping[str, str]) -> None:
    if isinstance(provider, ProcessProvider):
        replace_attribute(provider, "_popen", _without_a_terminal)
    if isinstance(provider, AssumeRoleWithWebIdentityProvider):
        replace_attribute(provider, "_token_loader_cls", _token_loader)
        if not provider._disable_env_vars:  # noqa: SLF001
            variables = provider._CONFIG_TO_ENV_VAR  # noqa: SLF001
            replace_attribute(provider, "_get_env_config", lambda key: environ.get(variables.get(key, "")))


def _without_a_terminal(command: Any, **options: Any) -> subprocess.Popen[bytes]:
    """Run a ``credential_process``. Our standard input is not its, and it has no terminal to ask at."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)  # noqa: S603


def _refuse_to_prompt(session: Any, prompt: str) -> NoReturn:
    profiles: Mapping[str, Any] = session.full_config.get("profiles", {})
    asking = [name for name, profile in profiles.items() if str(profile.get("mfa_serial") or "\0") in prompt]
    which = f"the AWS profile {asking[0][:80]!a}" if asking else "an AWS profile"
    raise ConfigError(
        f"{which} has mfa_serial and so needs an MFA code, for which nobody is asked here: use a profile without it "
        f"(such as one of `aws sso login`), or keys that `aws sts get-session-token` has given"
    )


def _container_headers(environ: Mapping[str, str]) -> dict[str, str] | None:
    path, token = environ.get(_FILE), environ.get(_TOKEN, "")
    if path:
        where = f"{_FILE} {shown_path(path)}"
        token = _read(path, where, words=True)
    elif token:
        token = usable(token, _TOKEN, words=True)
    return {"Authorization": token} if token else None


def _token_loader(path: str) -> Callable[[], str]:
    return partial(_read, path, f"the web identity token file {shown_path(path)}")


def _read(path: str, where: str, *, words: bool = False) -> str:
    try:
        return usable(read_credential_file(path, where), where, words=words)
    except ConfigError as error:
        problem = str(error)
    raise AuthenticationError(problem, provider="aws")


# -- keys, wherever they are from

_MEMBERS: Final = {"access_key": "access key id", "secret_key": "secret access key", "token": "session token"}
_GIVERS: Final = {
    "assume-role": "STS",
    "assume-role-with-web-identity": "STS",
    "container-role": "the container's role",
    "custom-process": "the profile's credential_process",
    "iam-role": "the machine's role",
    "login": "`aws login`",
    "sso": "single sign-on",
}


def checked_keys(keys: Any, method: str) -> Any:
    """What botocore signs with (a ``ReadOnlyCredentials``), looked at. Raises AuthenticationError."""
    giver = _GIVERS.get(method, "a profile in ~/.aws/credentials or ~/.aws/config")
    try:
        return keys._replace(**{name: _checked(name, getattr(keys, name), f"of {giver}") for name in _MEMBERS})
    except ConfigError as error:
        problem = str(error)
    raise AuthenticationError(problem, provider="aws")


def _checked(name: str, key: Any, giver: str) -> Any:
    if name == "token" and not key:
        return None
    where = f"the {_MEMBERS[name]} {giver}"
    found = usable(key, where) if isinstance(key, str) else ""
    if not found:
        raise ConfigError(f"{where} is empty, or no text")
    return found
