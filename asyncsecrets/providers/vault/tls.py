"""The TLS side of a connection to Vault: trust, the client's certificate, and both again when their files change."""

from __future__ import annotations

import math
import ssl
from datetime import datetime
from pathlib import Path

from asyncsecrets.credential import Credential, revealed
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.tls import client_context
from asyncsecrets.providers.vault.settings import VaultSettings

__all__ = ["TlsFiles"]

Signature = tuple[tuple[str, int, int, int], ...]


class TlsFiles:
    """Builds SSL contexts from the files the settings name. Every method blocks: call it in a thread."""

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._signature: Signature = ()

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
        settings = self._settings
        if not settings.ca_cert and not settings.ca_path:
            context.load_default_certs()
            return
        for setting, path in self._trusted():
            if not _loads(lambda path=path: context.load_verify_locations(cafile=path)):
                raise ConfigError(f"{setting}: {path!r} is not a readable PEM file of CA certificates")

    def _trusted(self) -> list[tuple[str, str]]:
        """Every CA file. A directory is read file by file, as other Vault tools do, so it needs no hashed links."""
        settings = self._settings
        files = [("ca_cert", settings.ca_cert)] if settings.ca_cert else []
        for setting, path in (*files, ("ca_path", settings.ca_path)):
            if path and Path(path).is_dir():
                files = [f for f in files if f[1] != path]
                files += [(setting, item) for item in _files_in(path)]
        if not files:
            raise ConfigError("ca_path is not a directory with PEM files of CA certificates")
        return files

    def _identify(self, context: ssl.SSLContext) -> None:
        settings = self._settings
        if not settings.client_cert:
            return
        # Always a callable: without one OpenSSL asks for the pass phrase on the terminal, and waits.
        password = Credential(revealed(settings.client_key_password))
        if not _loads(lambda: context.load_cert_chain(settings.client_cert, settings.client_key, password.reveal)):
            hint = "" if password else "; if the key is encrypted, set client_key_password"
            raise ConfigError(
                f"client_cert {settings.client_cert!r} and client_key {settings.client_key!r} are not a readable PEM "
                f"certificate with its private key{hint}"
            )

    def _look(self) -> Signature:
        settings = self._settings
        paths = [settings.ca_cert, settings.ca_path, settings.client_cert, settings.client_key]
        # A directory does not change when a file in it is rewritten in place.
        inside = [file for path in (settings.ca_cert, settings.ca_path) if path for file in _files_in(path)]
        return tuple(_stat(path) for path in (*paths, *inside) if path)


def _loads(load: object) -> bool:
    try:
        load()  # type: ignore[operator]
    except (OSError, ValueError):  # ssl.SSLError is an OSError; its text may name key material
        return False
    return True


def _files_in(path: str) -> list[str]:
    """The files of a directory, sorted; none where it is no directory, or may not be read."""
    try:
        return [str(item) for item in sorted(Path(path).iterdir()) if item.is_file()]
    except OSError:
        return []


def _stat(path: str) -> tuple[str, int, int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return path, 0, 0, 0
    return path, status.st_mtime_ns, status.st_ino, status.st_size
