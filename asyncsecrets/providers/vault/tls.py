"""The TLS side of a connection to Vault: trust, the client's certificate, and both again when their files change."""

from __future__ import annotations

import math
import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

from asyncsecrets.credential import Credential, revealed, shown_path
from asyncsecrets.errors import ConfigError
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers.tls import client_context, files_in, trust
from asyncsecrets.providers.vault.settings import VaultSettings

__all__ = ["TlsFiles"]

# requests, and so hvac, trusts the first of these instead of its own; here it is trusted besides the system's.
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_OF_OPENSSL: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
Signature = tuple[tuple[str, int, int, int], ...]


class TlsFiles:
    """Builds SSL contexts from the files the settings name. Every method blocks: call it in a thread."""

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._signature: Signature = ()
        self.passed_over = ""
        """The variable of OpenSSL's that names no CAs, if there is one: OpenSSL does not complain."""

    def load(self) -> ssl.SSLContext:
        """Build a context, as strict as all of ours. Raises ConfigError."""
        self._signature = self._look()
        context = client_context()
        self._trust(context)
        self._identify(context)
        return context

    def reload(self) -> ssl.SSLContext | None:
        """A new context if a file changed since the last one, else None. A half-written pair is not taken up yet."""
        if self._look() == self._signature:
            return None
        try:
            return self.load()
        except ConfigError:
            self._signature = ()  # look again next time
            return None

    def expired(self, now: datetime) -> bool:
        """Whether the client certificate is not valid any more. False where nobody can tell."""
        # Python can decode a certificate that a server sent, and has no public function for one in a file.
        decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
        try:
            ends = ssl.cert_time_to_seconds(decode(self._settings.client_cert)["notAfter"]) if decode else math.inf
        except (OSError, ValueError, KeyError):
            return False
        return now.timestamp() > ends

    def _trust(self, context: ssl.SSLContext) -> None:
        if not self._given:
            context.load_default_certs()  # of the system, or of the process's SSL_CERT_FILE and SSL_CERT_DIR
        self.passed_over = ""
        for source, path, needed in self._trusted():
            if trust(context, path):
                continue
            self.passed_over = source
            if needed:
                raise ConfigError(
                    f"{source}: {shown_path(path)} is not a readable PEM file of CA certificates, nor a directory with "
                    "such files"
                )

    @property
    def _given(self) -> list[tuple[str, str]]:
        """The CA files and directories of the settings. Where there are any, nobody else is trusted."""
        settings = self._settings
        return [(name, path) for name in ("ca_cert", "ca_path") if (path := getattr(settings, name))]

    def _trusted(self) -> list[tuple[str, str, bool]]:
        """Each path with CAs, what named it, and whether it must be readable. (OpenSSL passes over its own two.)"""
        if self._given:
            return [(name, path, True) for name, path in self._given]
        ways = Tidied(self._settings.ways())
        bundle = next((name for name in _BUNDLES if name in ways), None)
        named = [(bundle, ways[bundle], True)] if bundle else []
        return [*named, *((name, ways[name], False) for name in _OF_OPENSSL if name in ways)]

    def _identify(self, context: ssl.SSLContext) -> None:
        settings = self._settings
        if not settings.client_cert:
            return
        # Always a callable: without one OpenSSL asks for the pass phrase on the terminal, and waits.
        password = Credential(revealed(settings.client_key_password))
        if not _loads(lambda: context.load_cert_chain(settings.client_cert, settings.client_key, password.reveal)):
            hint = "" if password else "; if the key is encrypted, set client_key_password"
            cert, key = shown_path(settings.client_cert), shown_path(settings.client_key)
            raise ConfigError(
                f"client_cert {cert} and client_key {key} are not a readable PEM certificate with its private key{hint}"
            )

    def _look(self) -> Signature:
        settings = self._settings
        trusted = [path for _, path, _ in self._trusted()]
        paths = [*trusted, settings.client_cert, settings.client_key]
        # A directory does not change when a file in it is rewritten in place.
        inside = [file for path in trusted for file in files_in(path)]
        return tuple(_stat(path) for path in (*paths, *inside) if path)


def _loads(load: object) -> bool:
    try:
        load()  # type: ignore[operator]
    except (OSError, ValueError):  # ssl.SSLError is an OSError; its text may name key material
        return False
    return True


def _stat(path: str) -> tuple[str, int, int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return path, 0, 0, 0
    return path, status.st_mtime_ns, status.st_ino, status.st_size
