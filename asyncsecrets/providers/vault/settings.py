"""What the Vault provider needs to know, typed and checked once.

Sources, each setting on its own, first one wins: ``key_management_settings`` (names as the fields of
``VaultSettings``), ``HCP_VAULT_<NAME>``, then the ``VAULT_*`` variables that every Vault tool reads. The login is
the one that the first of these sources describes, whatever the later ones hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from asyncsecrets.boundary import configured, configuring
from asyncsecrets.credential import BLANKS, Credential, conceal, concealed, revealed, usable
from asyncsecrets.errors import ConfigError

__all__ = ["AuthMethod", "VaultSettings"]

AuthMethod = Literal["token", "token_file", "approle", "cert", "kubernetes", "jwt", "none"]

_KUBERNETES_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path, not a token

_CREDENTIALS: Final = ("token", "approle_role_id", "approle_secret_id", "client_key_password", "proxy")

# Other texts are taken without the blanks around them, which a file or a shell may have left there.
_AS_THEY_ARE: Final = frozenset({*_CREDENTIALS, "secret_field"})

PROXY_VARIABLES: Final = ("HCP_VAULT_PROXY", "VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY")
"""What stands in for the setting ``proxy``: ours, and those of Vault's own tools."""

_WAYS: Final = {name.lower() for name in PROXY_VARIABLES} | {
    *("https_proxy", "all_proxy", "no_proxy"),
    *("requests_ca_bundle", "curl_ca_bundle", "ssl_cert_file", "ssl_cert_dir"),
}
"""What an environment says of the way to a server, in lower case."""

_SENT: Final = ("token", "approle_role_id", "approle_secret_id")
"""Of them, what goes to the server as it is."""

_VAULT_TOOLS: Final = {
    "addr": "VAULT_ADDR",
    "token": "VAULT_TOKEN",
    "namespace": "VAULT_NAMESPACE",
    "ca_cert": "VAULT_CACERT",
    "ca_path": "VAULT_CAPATH",
    "tls_server_name": "VAULT_TLS_SERVER_NAME",
    "client_cert": "VAULT_CLIENT_CERT",
    "client_key": "VAULT_CLIENT_KEY",
}


@configured
@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """Settings of one Vault or OpenBao server and mount. Credentials are given as text and kept as ``Credential``.

    ``namespace`` is the default of ``secret_namespace`` (sent in the path) and ``login_namespace`` (sent in a header).
    ``secret_field``: the member that is a secret's value; empty: the whole object is the value. ``kv_version``: 1, 2,
    or None to find out. ``auth_method``: None chooses by what is set: AppRole, certificate, Kubernetes, JWT, token
    file, token. Timeouts are in seconds. ``cluster_addrs``: the other nodes a standby may redirect to.
    ``auth_method="none"`` sends no token: a Vault Agent or Proxy adds its own. ``proxy`` is that for https, and
    ``environ`` the environment, of which only what says how to get to a server is kept: proxies and CAs.
    ``renew_token``: whether a token that was given to us is renewed; None: yes in ``token``, no in ``token_file``, as
    whoever writes that file renews it. A token got by a login always is.
    """

    addr: str
    namespace: str = ""
    secret_namespace: str = ""
    login_namespace: str = ""
    mount_name: str = "secret"
    path_prefix: str = ""
    secret_field: str = "key"  # noqa: S105 - a member name
    kv_version: int | None = None
    auth_method: AuthMethod | None = None
    token: str | Credential[str] = ""
    token_file: str = ""
    approle_role_id: str | Credential[str] = ""
    approle_secret_id: str | Credential[str] = ""
    approle_secret_id_file: str = ""
    approle_secret_id_wrapped: bool = False
    approle_mount_path: str = "approle"
    client_cert: str = ""
    client_key: str = ""
    client_key_password: str | Credential[str] = ""
    cert_role: str = ""
    cert_mount_path: str = "cert"
    kubernetes_role: str = ""
    kubernetes_token_file: str = _KUBERNETES_TOKEN
    kubernetes_mount_path: str = "kubernetes"
    jwt_role: str = ""
    jwt_file: str = ""
    jwt_mount_path: str = "jwt"
    ca_cert: str = ""
    ca_path: str = ""
    tls_server_name: str = ""
    allow_insecure_http: bool = False
    cluster_addrs: tuple[str, ...] = ()
    connect_timeout: float = 2.0
    attempt_timeout: float = 5.0
    max_connections: int = 100
    renew_token: bool | None = None
    revoke_on_close: bool = False
    proxy: str | Credential[str] = ""
    environ: Mapping[str, str] | Credential[Mapping[str, str]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        conceal(self, *_CREDENTIALS)
        for known in fields(self):
            value = getattr(self, known.name)
            if isinstance(value, str) and known.name not in _AS_THEY_ARE:
                object.__setattr__(self, known.name, value.strip())
        ways = {name: value for name, value in revealed(self.environ).items() if name.lower() in _WAYS}
        object.__setattr__(self, "environ", Credential(ways))
        for name in _SENT:
            object.__setattr__(self, name, concealed(usable(revealed(getattr(self, name)), name)))
        for scoped in ("secret_namespace", "login_namespace"):
            if not getattr(self, scoped):
                object.__setattr__(self, scoped, self.namespace)
        for check in (self._check_auth, self._check_values):
            check()

    def ways(self) -> Mapping[str, str]:
        """What the environment says of the way to a server, which ``environ`` does not show."""
        ways: Mapping[str, str] = revealed(self.environ)
        return ways

    @property
    def default_field(self) -> str | None:
        """The member of a secret's object that is its value, or None where the object itself is."""
        return self.secret_field or None

    @property
    def method(self) -> AuthMethod:
        """The way to log in: as set, or the one whose settings are there. Raises nothing: checked before."""
        return self.auth_method or self._inferred()

    def _inferred(self) -> AuthMethod:
        return _login_in({known.name: getattr(self, known.name) for known in fields(self)}) or "token"

    def _check_auth(self) -> None:
        needed: dict[AuthMethod, dict[str, object]] = {
            "token": {"token": self.token},
            "token_file": {"token_file": self.token_file},
            "approle": self._needed_by_approle(),
            "cert": {"client_cert": self.client_cert, "client_key": self.client_key},
            "kubernetes": {"kubernetes_role": self.kubernetes_role},
            "jwt": {"jwt_file": self.jwt_file},
            "none": {},
        }
        if self.method not in needed:
            raise ConfigError(f"auth_method must be one of {', '.join(get_args(AuthMethod))}")
        missing = [setting for setting, value in needed[self.method].items() if not value]
        if missing:
            variables = ", ".join(f"HCP_VAULT_{setting.upper()}" for setting in missing)
            raise ConfigError(f"Vault login by {self.method} needs {', '.join(missing)} (or set {variables})")

    def _needed_by_approle(self) -> dict[str, object]:
        # A role with bind_secret_id=false has no secret id; only the server knows, and says so at the login.
        needed: dict[str, object] = {"approle_role_id": self.approle_role_id}
        if self.approle_secret_id_wrapped:
            needed["approle_secret_id"] = self.approle_secret_id or self.approle_secret_id_file
        return needed

    def _check_values(self) -> None:
        if self.kv_version not in {None, 1, 2}:
            raise ConfigError("kv_version must be 1 or 2, or left out to find out")
        if bool(self.client_cert) != bool(self.client_key):
            raise ConfigError("client_cert and client_key are needed together")
        for setting in ("connect_timeout", "attempt_timeout", "max_connections"):
            if not getattr(self, setting) > 0:
                raise ConfigError(f"{setting} must be greater than 0")

    @classmethod
    @configuring
    def from_mapping(
        cls, settings: Mapping[str, Any], environ: Mapping[str, str], *, home: Path | None = None
    ) -> VaultSettings:
        """Build from ``key_management_settings`` and an environment. Unknown keys are somebody else's.

        ``home`` holds ``.vault-token``, the last place a token is looked for (default: ``HOME`` of ``environ``).
        Raises ConfigError.
        """
        names = [known.name for known in fields(cls) if known.name != "environ"]
        values = {name: settings[name] for name in names if settings.get(name) not in (None, "")}
        if settings.get("secret_field") == "":
            values["secret_field"] = ""  # means the whole object
        method = _login_in(values)
        ours = [name for name in names if name != "proxy"]  # of which the way there tells what it was named by
        _add(values, {name: environ.get(f"HCP_VAULT_{name.upper()}") for name in ours})
        method = method or _login_in(values)
        _add(values, {"addr": environ.get("VAULT_AGENT_ADDR")})  # which Vault's tools prefer, where there is one
        _add(values, {name: environ.get(variable) for name, variable in _VAULT_TOOLS.items()})
        if method is None and "token" in values:
            method = "token"  # a client certificate of VAULT_CLIENT_CERT then only serves TLS
        method = method or _login_in(values)
        if method is None:
            method = "token_file"
            values["token_file"] = str((home or Path(environ.get("HOME") or "/")) / ".vault-token")
        values["auth_method"] = method
        if method != "token":
            values.pop("token", None)
        _look_at(values, settings, environ)
        if "addr" not in values:
            raise ConfigError(
                "no Vault address: set HCP_VAULT_ADDR or VAULT_ADDR, such as https://vault.example.com:8200"
            )
        return cls(environ=environ, **{name: _typed(name, value) for name, value in values.items()})


def _login_in(values: Mapping[str, Any]) -> Any:
    """The login that settings describe: as ``auth_method`` has it, or the first whose settings are there, or None."""
    choices = [
        ("approle", values.get("approle_role_id")),
        ("cert", values.get("cert_role") or (values.get("client_cert") and values.get("client_key"))),
        ("kubernetes", values.get("kubernetes_role")),
        ("jwt", values.get("jwt_role") or values.get("jwt_file")),
        ("token_file", values.get("token_file")),
        ("token", values.get("token")),
        ("approle", values.get("approle_secret_id") or values.get("approle_secret_id_file")),  # its role id is missing
    ]
    return values.get("auth_method") or next((method for method, present in choices if present), None)


def _look_at(values: dict[str, Any], settings: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Have the credentials of variables looked at under the names of those; of settings, they are as they are made."""
    for name in values.keys() & set(_CREDENTIALS):
        variable = next((one for one in _variables(name) if environ.get(one, "").strip(BLANKS)), None)
        if not settings.get(name) and variable:
            values[name] = usable(values[name], variable) if name in _SENT else values[name].rstrip("\r\n")


def _variables(name: str) -> tuple[str, ...]:
    """The variables that stand in for the setting ``name``, in order."""
    return f"HCP_VAULT_{name.upper()}", _VAULT_TOOLS.get(name, "")


_EITHER: Final = (("approle_secret_id", "approle_secret_id_file"), ("ca_cert", "ca_path"))


def _add(values: dict[str, Any], weaker: Mapping[str, str | None]) -> None:
    """Add what a weaker source has, except the other half of an either-or that a stronger one has decided."""
    decided = {name for pair in _EITHER if values.keys() & set(pair) for name in pair}
    for name, text in weaker.items():
        if text and text.strip(BLANKS) and name not in decided:
            values.setdefault(name, text)


def _typed(name: str, value: Any) -> Any:
    kind = _KINDS.get(name)
    if isinstance(value, str) and name not in _AS_THEY_ARE:
        value = value.strip()
    try:
        return kind(value) if kind else _text(value)
    except (ValueError, TypeError):
        pass  # the exception quotes the value; ours does not
    raise ConfigError(f"{name} is not {_EXPECTED.get(name, 'a text')}")


def _text(value: Any) -> Any:
    if not isinstance(value, str | Credential):
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    truth = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if str(value).lower() not in truth:
        raise ValueError
    return truth[str(value).lower()]


def _texts(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    return tuple(_text(item).strip() for item in items)


_KINDS: Final[dict[str, Any]] = {
    "kv_version": int,
    "approle_secret_id_wrapped": _boolean,
    "allow_insecure_http": _boolean,
    "renew_token": _boolean,
    "revoke_on_close": _boolean,
    "cluster_addrs": _texts,
    "connect_timeout": float,
    "attempt_timeout": float,
    "max_connections": int,
}
_EXPECTED: Final = {
    name: {int: "a whole number", float: "a number of seconds", _boolean: "true or false"}.get(
        kind, "a list of addresses"
    )
    for name, kind in _KINDS.items()
}
