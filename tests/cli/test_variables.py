"""Which variables a secret may become."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.cli.variables import (
    MAX_VARIABLE,
    check_names,
    check_value,
    credentials_in,
    decides,
    is_possible,
    without_bootstrap,
)
from asyncsecrets.declared import SourceConfig
from asyncsecrets.errors import ConfigError, DecodeError

REFUSED = [
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PATH",
    "IFS",
    "BASH_ENV",
    "ENV",
    "NODE_OPTIONS",
    "PERL5OPT",
    "RUBYOPT",
    "JAVA_TOOL_OPTIONS",
    "GIT_SSH_COMMAND",
    "PROMPT_COMMAND",
    "SHELLOPTS",
    "GCONV_PATH",
    "ld_preload",
    "Path",
    "BASH_FUNC_x",
    "GLIBC_TUNABLES",
    "LOCPATH",
    "OPENSSL_CONF",
    "EDITOR",
    "PAGER",
    "HOME",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_KEY_0",
    "MAKEFLAGS",
    "DOTNET_STARTUP_HOOKS",
    "MAVEN_OPTS",
    "RUSTC_WRAPPER",
    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
    "npm_config_node_options",
    "Npm_Config_Script_Shell",
    "SSL_CERT_FILE",
    "ssl_cert_dir",
    "REQUESTS_CA_BUNDLE",
    "NODE_TLS_REJECT_UNAUTHORIZED",
]


@pytest.mark.parametrize("name", REFUSED)
def test_variables_that_decide_what_runs(name: str) -> None:
    """They are refused in any case, with the ways out; the explicit word is for that one name, as it is written."""
    with pytest.raises(ConfigError, match=f"--allow {name} .*--secret VARIABLE=REFERENCE"):
        check_names([name], "config.yaml", allowed=[name.swapcase()])
    check_names([name], "config.yaml", allowed=[name])


def test_all_of_them_are_told_at_once() -> None:
    """The first few by name, and how many more."""
    with pytest.raises(ConfigError, match="LD_PRELOAD, PATH, HOME and 1 more") as error:
        check_names(["LD_PRELOAD", "MY_KEY", "PATH", "HOME", "ENV"], "config.yaml")
    assert str(error.value).count("\n") == 1


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "A\0", "Ä", "a/b", "A\n", "A" * 257, "%s"])
def test_names_that_no_variable_can_have(name: str) -> None:
    """Anything but letters, digits and _ is refused, whatever is allowed."""
    with pytest.raises(ConfigError):
        check_names([name], "config.yaml", allowed=[name])


@given(st.from_regex(r"(DB|OPENAI|MY|X)_[A-Z0-9_]{0,20}(KEY|TOKEN|PASSWORD|SECRET|URL|USER)", fullmatch=True))
def test_ordinary_names(name: str) -> None:
    """What secrets are usually called is accepted."""
    check_names([name], "config.yaml")


@pytest.mark.parametrize(
    "name",
    [
        *("CARGO_REGISTRY_TOKEN", "NODE_AUTH_TOKEN", "GIT_TOKEN", "GITHUB_TOKEN", "GITLAB_RUNNER_TOKEN", "PGPASSWORD"),
        *("AWS_SECRET_ACCESS_KEY", "VAULT_TOKEN", "UV_PUBLISH_TOKEN", "PIP_INDEX_URL", "HTTPS_PROXY", "ENV_KEY", "DB_"),
    ],
)
def test_secrets_of_tools(name: str) -> None:
    """Tools have secrets, too, and addresses may have passwords in them: no word is needed for these."""
    assert not decides(name)


@given(st.text(max_size=20))
def test_no_name_passes_that_could_break_the_environment(name: str) -> None:
    """Whatever is accepted is an identifier."""
    if is_possible(name):
        assert name.isidentifier()
        assert name.isascii()


def test_values_that_no_variable_can_hold() -> None:
    """NUL, and more than the system takes, are refused without showing them."""
    with pytest.raises(DecodeError, match="NUL") as error:
        check_value("X", b"canary\0")
    assert "canary" not in str(error.value)
    check_value("X", b"c" * (MAX_VARIABLE - 3))
    with pytest.raises(DecodeError, match=f"the most is {MAX_VARIABLE}"):
        check_value("X", b"c" * (MAX_VARIABLE - 2))


def test_what_leads_to_managers() -> None:
    """--clean takes away what the configured managers read, and nothing else."""
    environ = {"HCP_VAULT_TOKEN": "canary", "VAULT_TOKEN": "canary", "ASYNCSECRETS_KEY": "canary", "AWS_REGION": "x"}
    environ |= {"PATH": "/bin", "HCP_VAULT_REFRESH_INTERVAL": "9"}
    assert without_bootstrap(environ, ["hashicorp_vault"]) == {"PATH": "/bin", "AWS_REGION": "x"}
    assert "AWS_REGION" not in without_bootstrap(environ, ["aws_kms"])
    assert environ["VAULT_TOKEN"] == "canary"


TOKEN = "hvs.canary-of-20-letters"
PROXY = "http://user:canary@proxy.example:3128"
AWS_KEYS = {
    "AWS_ACCESS_KEY_ID": "canary-id",
    "AWS_SECRET_ACCESS_KEY": "canary-key",
    "AWS_SESSION_TOKEN": "canary-session",
}


@pytest.mark.parametrize(
    ("system", "settings", "environ", "found"),
    [
        ("aws_secret_manager", {}, {**AWS_KEYS, "AWS_SECURITY_TOKEN": "canary-old"}, [*AWS_KEYS, "AWS_SECURITY_TOKEN"]),
        ("aws_kms", {}, {"AWS_REGION": "eu-west-1", "AWS_PROFILE": "x", "AWS_ACCESS_KEY_ID": ""}, []),
        ("hashicorp_vault", {}, {**AWS_KEYS, "VAULT_TOKEN": "canary", "VAULT_ADDR": "x"}, ["VAULT_TOKEN"]),
        ("hashicorp_vault", {"approle_secret_id": "canary-id"}, {"ROLE": "canary-id", "OTHER": "canary"}, ["ROLE"]),
        ("hashicorp_vault", {}, {"VAULT_TOKEN": TOKEN, "MY_TOKEN": TOKEN, "OTHER": "x"}, ["VAULT_TOKEN", "MY_TOKEN"]),
        ("hashicorp_vault", {"token": "root"}, {"USER": "root", "LOGNAME": "root", "T": "root"}, ["T"]),
        ("hashicorp_vault", {"proxy": PROXY}, {"HTTPS_PROXY": PROXY, "HCP_VAULT_PROXY": PROXY}, []),
        ("env", {}, {**AWS_KEYS, "VAULT_TOKEN": "canary", "ASYNCSECRETS_KEY": "canary"}, ["ASYNCSECRETS_KEY"]),
        ("local", {}, {"ASYNCSECRETS_KEY": "canary", "ASYNCSECRETS_KEY_FILE": "/k"}, ["ASYNCSECRETS_KEY"]),
        ("custom", {"password": "canary-of-a-class", "region": "eu-central-1"}, {"P": "canary-of-a-class"}, ["P"]),
        ("custom", {"region": "eu-central-1"}, {"AWS_REGION": "eu-central-1"}, []),
        ("memory", {"secrets": {"X": "canary-value-of-a-secret"}}, {"X": "canary-value-of-a-secret"}, []),
    ],
)
def test_what_lets_into_managers(
    system: str, settings: dict[str, Any], environ: dict[str, str], found: list[str]
) -> None:
    """The credentials of the configured managers, and of no others."""
    source = SourceConfig(name="default", system=system, settings=settings)
    assert credentials_in(environ, [source]) == found
