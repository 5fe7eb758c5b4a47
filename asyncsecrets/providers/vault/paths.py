"""Which names Vault can address, and the exact URL that each one becomes.

A name may have any character that the server takes: it is percent-encoded segment by segment, and the finished path is
compared with what was meant. What is refused, each with its reason, is what does not stay what it is on the way:

* Slashes at the ends, or two in a row. The server takes them for fewer, so that two names would be one secret.
* Segments of dots only, also where ``%2e`` or ``\\`` would make one for a proxy that decodes once more.
* What cannot be printed, decomposed characters, and those that compatibility forms make ``/``, ``.`` or ``%`` of.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NoReturn
from urllib.parse import SplitResult, quote, unquote_to_bytes

from yarl import URL

from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.providers import loopback
from asyncsecrets.providers.vault.settings import VaultSettings
from asyncsecrets.references import check_name, fault_of

__all__ = [
    "MAX_NAME_BYTES",
    "SYSTEM",
    "Paths",
    "encode_name",
    "is_address",
    "is_loopback",
    "is_name",
    "socket_of",
    "split_address",
]

SYSTEM: Final = "hashicorp_vault"

MAX_NAME_BYTES: Final = 1024
"""The longest name in UTF-8 bytes, its prefix included; three times that, percent-encoded, still fits any proxy."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_STRUCTURE: Final = frozenset("/\\.%?#;")  # what another character must not become where names are normalised
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_MOST_DECODINGS: Final = 8  # more than any number of proxies; a name that still changes then is refused
_SHOWN: Final = 80
_ENCODED: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+)+")


class Paths:
    """Builds every URL this provider asks for. Made once from the settings; immutable.

    Raises ``ConfigError`` if the address, a mount (of secrets or of a login), a namespace or
    the prefix could not be part of a URL.
    """

    def __init__(self, settings: VaultSettings) -> None:
        self.origin, base = split_address(settings.addr)
        self._scheme, _, self._netloc = self.origin.partition("://")
        self._api = f"{base}/v1"
        self.mount = _setting("mount_name", settings.mount_name)
        self.prefix = _setting("path_prefix", settings.path_prefix, empty=True)
        namespace = _setting("secret_namespace", settings.secret_namespace, empty=True)
        self.login_namespace = _setting("login_namespace", settings.login_namespace, empty=True)
        for setting in ("approle_mount_path", "cert_mount_path", "kubernetes_mount_path", "jwt_mount_path"):
            _setting(setting, getattr(settings, setting))
        self._root = self._api + (f"/{_encode(namespace)}" if namespace else "")
        self._mount = f"{self._root}/{_encode(self.mount)}"
        self._prefix = f"{_encode(self.prefix)}/" if self.prefix else ""
        self._bases = {api: f"{self._mount}/{api}/{self._prefix}" for api in _KV2_APIS}
        self._bases[""] = f"{self._mount}/{self._prefix}"

    def secret(self, name: str, api: str, query: str = "") -> URL:
        """The URL of one secret in one of KV v2's APIs (``data``, ``metadata`` ...), or in KV v1's (an empty ``api``).

        Raises InvalidNameError. ``query`` is ours, never a caller's.
        """
        encoded = encode_name(name, self.prefix)
        return self._url(self._bases[api] + encoded, query, checked=encoded is name)

    def folder(self, folder: str, api: str, query: str) -> URL:
        """The URL that lists a folder: ``""`` for the prefix itself, else a name that ends in a slash."""
        encoded = f"{encode_name(folder[:-1], self.prefix)}/" if folder else ""
        path = (self._bases[api] + encoded).rstrip("/")
        return self._url(path, query)

    def mount_info(self) -> URL:
        """The URL that tells a mount's engine and version to whoever may use the mount."""
        return self._url(f"{self._root}/sys/internal/ui/mounts/{_encode(self.mount)}", "")

    def login(self, mount: str) -> URL:
        """The URL of a login at an auth mount, written as the settings have it."""
        return self.api(f"auth/{mount.strip('/')}/login")

    def api(self, path: str) -> URL:
        """The URL of a login or token operation. Its namespace travels in a header: see ``login_namespace``."""
        return self._url(f"{self._api}/{_encode(path)}", "")

    def _url(self, path: str, query: str, *, checked: bool = False) -> URL:
        # From parts, not from text: nothing is parsed that could be read otherwise than it was written.
        url = URL(SplitResult(self._scheme, self._netloc, path, query, ""), encoded=True)
        if url.raw_path != path or not (checked or _ENCODED.fullmatch(path)):
            _refuse_url()
        return url


_KV2_APIS: Final = ("data", "metadata", "delete", "undelete", "destroy")


def _refuse_url() -> NoReturn:
    # Unreachable while the grammar above holds. It stands between a mistake there and a token at the wrong path.
    raise InvalidNameError(
        "the name does not survive being made a URL; use letters, digits, - _ . and /", provider=SYSTEM
    )


def encode_name(name: str, prefix: str = "") -> str:
    """Check a secret name and return it percent-encoded. Raises InvalidNameError."""
    if not isinstance(name, str):
        check_name(name, SYSTEM)
    if _PLAIN.fullmatch(name) and len(name) + len(prefix) < MAX_NAME_BYTES:
        return name
    fault = _fault(name, prefix)
    if fault:
        shown = repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
        raise InvalidNameError(f"{shown} cannot be the name of a Vault secret: {fault}", provider=SYSTEM, name=name)
    return _encode(name)


def is_name(name: str, prefix: str = "") -> bool:
    """Whether a secret can have this name."""
    return not fault_of(name) and not _fault(name, prefix)


def _encode(path: str) -> str:
    return quote(path, safe="/")


def _setting(setting: str, value: str, *, empty: bool = False) -> str:
    path = value.strip("/")
    fault = "" if empty and not path else _fault(path, "")
    if fault:
        raise ConfigError(f"{setting} cannot be part of a Vault path: {fault}")
    return path


def _fault(name: str, prefix: str) -> str:
    """What is wrong with a path, or an empty text."""
    if not name.strip():
        return "it is all blanks" if name else "it is empty"
    character = next((c for c in name if not _allowed(c)), None)
    if character is not None:
        return f"it contains {_shown(character)}, which {_character_fault(character)}"
    if len(name.encode()) + len(prefix.encode()) >= MAX_NAME_BYTES:
        return f"it is longer than {MAX_NAME_BYTES} bytes"
    if not name.isascii() and not unicodedata.is_normalized("NFC", name):
        return "it is not in Unicode's composed form (NFC), so another name would look the same"
    return _slash_fault(name) or _dots_fault(name)


def _allowed(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    return character.isprintable() and _STRUCTURE.isdisjoint(unicodedata.normalize("NFKC", character))


def _character_fault(character: str) -> str:
    if not character.isprintable():
        return "cannot be printed"
    return f"some software takes for {unicodedata.normalize('NFKC', character)!r}"


def _slash_fault(name: str) -> str:
    segments = name.split("/")
    if all(segments):
        return ""
    same = "/".join(filter(None, segments))
    instead = f": Vault knows it as {same!r}" if same and len(same) <= _SHOWN else ""
    return f"it starts or ends with a slash, or has two in a row{instead}"


def _dots_fault(name: str) -> str:
    if _leads_elsewhere(name.encode()):
        return "a part of it consists of dots only"
    decoded = name.encode()
    for _ in range(_MOST_DECODINGS):
        before, decoded = decoded, unquote_to_bytes(decoded).replace(b"\\", b"/")
        if decoded == before:
            return ""
        if _leads_elsewhere(decoded) or _CONTROL.search(decoded):
            break
    return "a part of it is dots only, or a control character, for software that decodes it or turns backslashes round"


def _leads_elsewhere(path: bytes) -> bool:
    return any(segment and not segment.strip(b".") for segment in path.split(b"/"))


def _shown(character: str) -> str:
    return repr(character) if character.isascii() else f"U+{ord(character):04X}"


_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<base>(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)/*",
    re.IGNORECASE,
)
_SOCKET: Final = re.compile(r"unix:(?://)?(?P<path>(?:/[^\x00-\x1f\x7f/]+)+)", re.IGNORECASE)
_AT_SOCKET: Final = "http://localhost"
"""What is asked over a socket of this machine: as by Vault's own tools, a server at this name."""


def socket_of(address: str) -> str:
    """The path of the socket that ``unix:///run/vault.sock`` names; empty for an address of another kind."""
    match = _SOCKET.fullmatch(address)
    return match["path"] if match else ""


def split_address(address: str, setting: str = "addr") -> tuple[str, str]:
    """``https://Host:8200/base/`` as its origin (lower case) and base path. Raises ConfigError."""
    if setting == "addr" and address.lower().startswith("unix:"):
        if not socket_of(address):
            raise ConfigError(
                f"{setting} is not the address of a socket: expected an absolute path, unix:///run/vault.sock"
            )
        return _AT_SOCKET, ""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise ConfigError(
            f"{setting} is not an address: expected https://host:port, without user, query or fragment "
            f"(HCP_VAULT_ADDR or VAULT_ADDR)"
        )
    port = f":{int(match['port'])}" if match["port"] else ""
    return f"{match['scheme']}://{match['host']}{port}".lower(), match["base"]


def is_address(text: str) -> bool:
    """Whether this can be the address of a server."""
    return _ADDRESS.fullmatch(text) is not None


def is_loopback(origin: str) -> bool:
    """Whether an origin names this machine."""
    address = _ADDRESS.fullmatch(origin)
    return address is not None and loopback.is_loopback(address["host"].strip("[]"))
