"""Where settings come from, which login they mean, and what is refused."""

from __future__ import annotations

import pytest

from asyncsecrets.errors import AuthenticationError, ConfigError
from asyncsecrets.providers.base import Lister, Provider, VersionLister, Writer
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.providers.vault.paths import Paths

ADDR = {"HCP_VAULT_ADDR": "https://vault.test:8200"}


def build(settings=None, environ=None, home=None):
    """Settings from a mapping and an environment."""
    return VaultSettings.from_mapping(settings or {}, {**ADDR, **(environ or {})}, home=home)


def test_documented_variables():
    """The variables of the documentation, with their defaults."""
    settings = build(environ={"HCP_VAULT_NAMESPACE": "admin", "HCP_VAULT_TOKEN": "canary-token"})
    assert (settings.addr, settings.token, settings.method) == ("https://vault.test:8200", "canary-token", "token")
    assert (settings.secret_namespace, settings.login_namespace) == ("admin", "admin")
    assert (settings.mount_name, settings.path_prefix, settings.default_field) == ("secret", "", "key")
    assert (settings.connect_timeout, settings.attempt_timeout, settings.kv_version) == (2.0, 5.0, None)


def test_precedence():
    """Settings come before HCP_VAULT_ variables, and those before the ones of every Vault tool."""
    environ = {"HCP_VAULT_MOUNT_NAME": "hcp", "VAULT_NAMESPACE": "tools", "VAULT_TOKEN": "canary-tools"}
    assert build({}, environ).mount_name == "hcp"
    assert build({"mount_name": "own"}, environ).mount_name == "own"
    assert build({}, environ).namespace == "tools"
    assert build({}, environ | {"HCP_VAULT_TOKEN": "canary-hcp"}).token == "canary-hcp"
    tools = {"VAULT_ADDR": "https://tools.test", "VAULT_TOKEN": "canary", "VAULT_CACERT": "/ca.pem"}
    settings = VaultSettings.from_mapping({}, tools)
    assert (settings.addr, settings.token, settings.ca_cert) == ("https://tools.test", "canary", "/ca.pem")


@pytest.mark.parametrize(
    ("environ", "method"),
    [
        ({"HCP_VAULT_TOKEN": "canary"}, "token"),
        ({"HCP_VAULT_APPROLE_ROLE_ID": "r", "HCP_VAULT_APPROLE_SECRET_ID": "s", "VAULT_TOKEN": "canary"}, "approle"),
        ({"HCP_VAULT_CLIENT_CERT": "c", "HCP_VAULT_CLIENT_KEY": "k", "HCP_VAULT_TOKEN": "canary"}, "cert"),
        ({"VAULT_CLIENT_CERT": "c", "VAULT_CLIENT_KEY": "k", "VAULT_TOKEN": "canary"}, "token"),
        ({"VAULT_CLIENT_CERT": "c", "VAULT_CLIENT_KEY": "k"}, "cert"),
        ({"HCP_VAULT_KUBERNETES_ROLE": "app"}, "kubernetes"),
        ({"HCP_VAULT_JWT_FILE": "/jwt", "HCP_VAULT_JWT_ROLE": "app"}, "jwt"),
        ({"HCP_VAULT_TOKEN_FILE": "/token", "VAULT_TOKEN": "canary"}, "token_file"),
        ({"HCP_VAULT_AUTH_METHOD": "token", "HCP_VAULT_APPROLE_ROLE_ID": "r", "VAULT_TOKEN": "canary"}, "token"),
        ({}, "token_file"),
    ],
)
def test_login_that_is_meant(environ, method):
    """The login is the one whose settings are there; what is set for us wins over what lies about for every tool."""
    assert build(environ=environ).method == method


LOGINS = {
    "token": {"token": "canary"},
    "token_file": {"token_file": "/token"},
    "approle": {"approle_role_id": "r"},
    "cert": {"client_cert": "c", "client_key": "k"},
    "kubernetes": {"kubernetes_role": "app"},
    "jwt": {"jwt_file": "/jwt"},
    "none": {"auth_method": "none"},
}


@pytest.mark.parametrize("other", LOGINS)
@pytest.mark.parametrize("method", LOGINS)
def test_a_login_in_the_settings_wins(method, other):
    """The login that the settings describe is used, whatever login the environment describes as well."""
    environ = {f"HCP_VAULT_{name.upper()}": value for name, value in LOGINS[other].items()}
    environ |= {"HCP_VAULT_AUTH_METHOD": other, "VAULT_TOKEN": "canary-tools"}
    assert build(LOGINS[method], environ).method == method
    environ |= {f"HCP_VAULT_{name.upper()}": value for name, value in LOGINS[method].items()}
    assert build({"auth_method": method}, environ).method == method


@pytest.mark.parametrize("method", LOGINS)
def test_a_login_of_ours_wins_over_the_tools(method):
    """The login of our own variables is used, whatever other Vault tools are set to, and their token is not kept."""
    environ = {f"HCP_VAULT_{name.upper()}": value for name, value in LOGINS[method].items()}
    environ |= {"VAULT_TOKEN": "canary two words", "VAULT_CLIENT_CERT": "/c", "VAULT_CLIENT_KEY": "/k"}
    settings = build(environ=environ)
    assert (settings.method, settings.token) == (method, "canary" if method == "token" else "")


def test_one_of_two():
    """A secret id or a CA of the settings is not overruled, or joined, by the other kind from the environment."""
    environ = {"HCP_VAULT_APPROLE_SECRET_ID_FILE": "/id", "VAULT_CAPATH": "/cas", "HCP_VAULT_APPROLE_ROLE_ID": "r"}
    settings = build({"approle_secret_id": "canary", "ca_cert": "/ca.pem"}, environ)
    assert (settings.approle_secret_id_file, settings.ca_path) == ("", "")
    assert build({}, environ).approle_secret_id_file == "/id"
    both = {"approle_secret_id": "canary", "approle_secret_id_file": "/own", "ca_cert": "/ca.pem", "ca_path": "/own"}
    settings = build(both, environ)
    assert (settings.approle_secret_id_file, settings.ca_path) == ("/own", "/own")


def test_last_resort_is_the_token_file_of_the_tools(tmp_path):
    """Where nothing is set, the token of `vault login` is read: from HOME, or the home that is given."""
    assert build(environ={"HOME": "/home/canary"}).token_file == "/home/canary/.vault-token"
    assert build(home=tmp_path).token_file == str(tmp_path / ".vault-token")


def test_an_odd_blank_is_no_blank():
    """A variable that holds what only looks like one is not taken for an empty one: it is named."""
    for variable in ("VAULT_TOKEN", "HCP_VAULT_TOKEN", "HCP_VAULT_APPROLE_SECRET_ID"):
        environ = {"HCP_VAULT_APPROLE_ROLE_ID": "r"} if "ROLE" in variable else {}
        with pytest.raises(ConfigError, match=f"^{variable} has a character"):
            build(environ={**environ, variable: "\u00a0"})


async def test_nothing_is_set(server, tmp_path):
    """Who has set no credential at all is told each way to log in; who named a file is told about the file only."""
    ways = ("VAULT_TOKEN", ".vault-token", "HCP_VAULT_APPROLE_ROLE_ID", "HCP_VAULT_KUBERNETES_ROLE", "settings")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".vault-token").touch()
    faulty = {"token_file": str(tmp_path / "empty" / ".vault-token")}
    for settings, told in (({}, True), ({"token_file": str(tmp_path / "own")}, False), (faulty, False)):
        provider = VaultProvider.from_settings({"addr": server.url, **settings}, {}, home=tmp_path)
        await provider.open()
        with pytest.raises(AuthenticationError) as caught:
            await provider.get("name")
        await provider.aclose()
        assert all(way in str(caught.value) for way in ways) == told
        assert "(wanted for 'name')" in str(caught.value).splitlines()[0]
        assert str(caught.value).count("\n") == told


async def test_home_token_file_is_used(server, tmp_path):
    """And it works, trailing newline included."""
    server.write_secret("name", {"key": "canary-value"})
    (tmp_path / ".vault-token").write_text("canary-root\n")
    provider = VaultProvider.from_settings({"addr": server.url}, {}, home=tmp_path)
    await provider.open()
    assert (await provider.get("name")).field("key").equals("canary-value")
    await provider.aclose()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"approle_role_id": "r", "approle_secret_id_wrapped": "true"}, "HCP_VAULT_APPROLE_SECRET_ID"),
        ({"approle_secret_id": "canary"}, "HCP_VAULT_APPROLE_ROLE_ID"),
        ({"approle_secret_id_file": "/id"}, "HCP_VAULT_APPROLE_ROLE_ID"),
        ({"auth_method": "approle", "approle_secret_id": "canary"}, "HCP_VAULT_APPROLE_ROLE_ID"),
        ({"auth_method": "jwt"}, "jwt_file"),
        ({"auth_method": "kerberos"}, "auth_method"),
        ({"token": "canary", "client_cert": "c", "auth_method": "token"}, "client_key"),
        ({"token": "canary with space"}, "token has a blank inside"),
        ({"token": "canary\r\nX-Header: 1"}, "token has a line break inside"),
        ({"token": '"canary"'}, "token stands in quotation marks"),
        ({"token": '{"token":"canary"}'}, "token holds JSON"),
        (
            {"approle_role_id": "r", "approle_secret_id": "cänary"},
            "approle_secret_id has a character that is not printable",
        ),
        ({"token": "canary", "kv_version": 3}, "kv_version"),
        ({"token": "canary", "kv_version": "canary"}, "whole number"),
        ({"token": "canary", "attempt_timeout": 0}, "greater than 0"),
        ({"token": "canary", "attempt_timeout": "nan"}, "greater than 0"),
        ({"token": "canary", "attempt_timeout": "canary"}, "number of seconds"),
        ({"token": "canary", "revoke_on_close": "canary"}, "true or false"),
        ({"token": 5}, "a text"),
        ({"token": "canary", "cluster_addrs": 5}, "list of addresses"),
    ],
)
def test_refused(settings, match):
    """What cannot work is a ConfigError that names the setting and shows no value."""
    with pytest.raises(ConfigError, match=match) as caught:
        build(settings)
    error = caught.value
    assert "canary" not in repr((error.args, vars(error), error.__cause__, error.__context__))


def test_what_is_left_around_settings():
    """Blanks of a file or a shell, slashes and the dot behind a host do not matter; an empty text is none."""
    given = {
        "addr": " https://Vault.Corp.test.:8200/// ",
        "namespace": " /admin/team/ ",
        "mount_name": " kv/ ",
        "path_prefix": "apps/\n",
        "approle_mount_path": " /approle ",
        "approle_role_id": "r",
        "ca_cert": "/ca.pem\n",
        "kv_version": " 2 ",
        "revoke_on_close": " true ",
        "attempt_timeout": " 7 ",
    }
    paths = Paths(build(given))
    assert str(paths.secret("db", "data")) == "https://vault.corp.test.:8200/v1/admin/team/kv/data/apps/db"
    assert paths.login(build(given).approle_mount_path).raw_path == "/v1/auth/approle/login"
    settings = build(given)
    assert (settings.ca_cert, settings.kv_version, settings.revoke_on_close) == ("/ca.pem", 2, True)
    assert build({}, {"HCP_VAULT_NAMESPACE": " ", "VAULT_NAMESPACE": "ns\n", "VAULT_TOKEN": "canary"}).namespace == "ns"
    agent = {"VAULT_ADDR": "https://a", "VAULT_AGENT_ADDR": "http://[::1]:8100 "}
    assert build({}, agent).addr == ADDR["HCP_VAULT_ADDR"]
    assert build({}, {"HCP_VAULT_ADDR": " ", **agent}).addr == "http://[::1]:8100"


@pytest.mark.parametrize("method", ["approle", "cert", "kubernetes", "jwt"])
@pytest.mark.parametrize("path", ["../sys", "%2e%2e/sys", "a//b", "a\nb", "/", "a/.."])
def test_login_mounts_that_cannot_be(method, path):
    """A login mount that could not be part of a path is refused when the provider is made, whichever login is used."""
    with pytest.raises(ConfigError, match=f"{method}_mount_path cannot be part"):
        VaultProvider(VaultSettings(addr="https://vault.test", token="canary", **{f"{method}_mount_path": path}))


def test_no_address():
    """Without an address the error says where one is looked for."""
    with pytest.raises(ConfigError, match="HCP_VAULT_ADDR or VAULT_ADDR"):
        VaultSettings.from_mapping({"token": "canary"}, {})


def test_text_becomes_what_it_means():
    """A configuration file gives strings; each setting is converted as its kind says."""
    given = {"kv_version": "2", "attempt_timeout": "1.5", "revoke_on_close": "true", "renew_token": "off"}
    settings = build(given | {"token": "canary", "cluster_addrs": "https://a.test, https://b.test"})
    assert (settings.kv_version, settings.attempt_timeout) == (2, 1.5)
    assert (settings.revoke_on_close, settings.renew_token) == (True, False)
    assert [build({"renew_token": value}).renew_token for value in (None, "", "true", True)] == [None, None, True, True]
    assert settings.cluster_addrs == ("https://a.test", "https://b.test")
    assert build({"token": "canary", "secret_field": ""}).default_field is None


def test_other_keys_are_left_alone():
    """Keys of other layers are not ours to refuse."""
    assert build({"token": "canary", "access_mode": "read_only", "hosted_keys": ["A"]}).token


def test_repr_shows_no_credential():
    """Settings can be printed."""
    secret = {
        "token": "canary",
        "approle_role_id": "canary",
        "approle_secret_id": "canary",
        "client_key_password": "canary",
    }
    settings = build(secret)
    assert "canary" not in repr(settings) + str(settings)
    assert "canary" not in repr(VaultProvider(settings))


def test_protocols():
    """It reads, writes, lists names and lists versions."""
    provider = VaultProvider(build({"token": "canary"}))
    for protocol in (Provider, Writer, Lister, VersionLister):
        assert isinstance(provider, protocol)
    assert VaultProvider.system == "hashicorp_vault"
    assert provider.default_field == "key"
