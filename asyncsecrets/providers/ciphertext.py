"""Secrets that stand encrypted in the environment or a ``.env`` file: a ciphertext's text, and who reads it.

Ciphertext arrives as text in one of two spellings. *Base64* (RFC 4648 §4, line breaks allowed). Or a *Python bytes
literal*, ``b'\\n$\\x00…'``: with its quotes, or as a shell delivers it once it has eaten them, ``b\\n$\\x00…``. The
second is told from base64 by its backslashes, which base64 has none of. Literals are read by the parser below, for
exactly the grammar of the Python language reference (§2.5.1, bytes literals of one line); nothing is ever evaluated.
"""

from __future__ import annotations

import base64
import codecs
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar, Final, Protocol

from asyncsecrets.errors import (
    DecodeError,
    MalformedResponseError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.call import malformed
from asyncsecrets.providers.environment import EnvironmentProvider, check_variable
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.providers.sdk import SdkConnection
from asyncsecrets.secret import Payload, Secret, payload_of

__all__ = ["CiphertextProvider", "parse_bytes_literal", "parse_ciphertext"]

_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_BREAKS: Final = str.maketrans("", "", "\r\n")
_ESCAPE: Final = r"""\\(?:x[0-9A-Fa-f]{2}|[0-3][0-7]{0,2}|[4-7][0-7]?(?![0-7])|[abfnrtv\\'"])"""
_BODY: Final = {  # by its quote: whatever may stand in it
    "'": re.compile(rf"(?:[ -&(-\[\]-~]++|{_ESCAPE})*+", re.ASCII),
    '"': re.compile(rf"(?:[ !#-\[\]-~]++|{_ESCAPE})*+", re.ASCII),
    "": re.compile(rf"(?:[ -\[\]-~]++|{_ESCAPE})*+", re.ASCII),
}
_unescaped: Final = codecs.getdecoder("unicode_escape")  # looked up now: the first time, a file is read for it
_FOREIGN: Final = re.compile(r"[^ -~]", re.ASCII)
_CARRIED_OUT: Final = (
    """did $'…' of a shell, or "…" of a .env file, carry out its escapes? Put it in single quotes, or write base64"""
)


def parse_ciphertext(text: str) -> bytes:
    """Return the bytes that ``text`` spells. Raises DecodeError, which does not quote it."""
    if text[:2] in {"b'", 'b"'} or (text[:1] == "b" and "\\" in text):
        return parse_bytes_literal(text)
    packed = text.strip(" ").translate(_BREAKS)
    if _BASE64.fullmatch(packed) and len(packed) % 4 == 0:
        return base64.b64decode(packed)
    hint = f": {_CARRIED_OUT}" if _FOREIGN.search(text.rstrip("\r\n ")) else ""
    raise DecodeError(f"it is not ciphertext: neither base64 nor a Python bytes literal{hint}")


def parse_bytes_literal(text: str) -> bytes:
    """Return the value of a Python bytes literal, with its quotes or without. Raises DecodeError."""
    if _FOREIGN.search(text):
        raise DecodeError(f"it is a Python bytes literal with a character that none can have: {_CARRIED_OUT}")
    quote = text[1:2] if text[1:2] in {"'", '"'} else ""
    if quote and (len(text) < 3 or text[-1] != quote):
        raise DecodeError("it is a Python bytes literal that does not end")
    body = text[2:-1] if quote else text[1:]
    end = _BODY[quote].match(body).end()  # type: ignore[union-attr]  # which matches nothing, if nothing else
    if end < len(body):
        raise DecodeError(f"it is a Python bytes literal {_AT_ITS_END[body[end]]}")
    # Every escape that may be in it means the same in a text, and this way takes a hundredth of the time of a loop.
    return _unescaped(body.encode("ascii"))[0].encode("latin-1")


_AT_ITS_END: Final = {
    "\\": "with an escape that none can have, or an octal one above \\377",
    "'": "that ends before the text does",
    '"': "that ends before the text does",
}


class _Settings(Protocol):
    @property
    def max_connections(self) -> int: ...

    def variables(self) -> Mapping[str, str]: ...


@guarded
class CiphertextProvider(ABC):
    """Reads the variable NAME as ciphertext and decrypts it; a key service is a subclass that is asked to.

    The variable is one of the environment of ``settings``, or else of the file ``dotenv`` where it exists; both are
    live, as for ``EnvironmentProvider``. ``connection`` leads to the service.
    ``variable_prefixes``: NAME may stand there with one of these before it, and is looked for so first.
    ``value_prefix``: what the text may begin with, to mark it. ``largest``: the most bytes that a ciphertext has.
    ``sizes``: how many bytes a plaintext may have.

    A variable that is not ciphertext is a DecodeError, never its plain value. Plaintext is never stripped; it is text
    where it is UTF-8, else bytes.
    """

    system: ClassVar[str]
    variable_prefixes: ClassVar[tuple[str, ...]] = ()
    value_prefix: ClassVar[str] = ""
    largest: ClassVar[int]
    sizes: ClassVar[range]

    def __init__(
        self, settings: _Settings, connection: SdkConnection, *, dotenv: str | os.PathLike[str] | None = None
    ) -> None:
        self._texts = EnvironmentProvider(settings.variables(), dotenv=dotenv)
        self._connection = connection
        self.concurrency = settings.max_connections
        self.default_field: str | None = None

    async def open(self) -> None:
        """Read the ``.env`` file and make the client, in threads. Nothing is sent.

        Raises ConfigError for settings that cannot be, and for a file that is there and cannot be understood or read.
        """
        await self._texts.open()
        await self._connection.open()

    async def aclose(self) -> None:
        """Close what ``open`` made for the loop, and end what is under way."""
        await self._connection.aclose()

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone or to the parent of a fork."""
        self._texts.abandon()
        self._connection.abandon()

    @abstractmethod
    async def decrypt(self, ciphertext: bytes, name: str | None = None) -> bytes:
        """Decrypt ``ciphertext``: one attempt. ``name`` is for errors. Never raises SecretNotFoundError."""

    @abstractmethod
    async def _encrypt(self, plaintext: bytes) -> bytes:
        """Encrypt what has one of the ``sizes``: one attempt."""

    async def encrypt(self, plaintext: Payload) -> str:
        """Encrypt; return base64 text that ``get`` decrypts.

        Raises ConfigError without a key, DecodeError for a plaintext that has none of the ``sizes`` or is no text.
        """
        data = Secret(plaintext, name="plaintext").reveal_bytes()
        if len(data) not in self.sizes:
            raise DecodeError(
                f"{self.system}: KMS encrypts {self.sizes[0]} to {self.sizes[-1]:,} bytes, and these are "
                f"{len(data):,}; keep larger ones in a secret manager"
            )
        return base64.b64encode(await self._encrypt(data)).decode("ascii")

    def _nonsense(self, name: str | None, problem: str) -> MalformedResponseError:
        """The error of an answer that is none of the service's."""
        return malformed(self.system, "is the endpoint KMS?", name, f"the answer {problem}")

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Decrypt the variable. The environment has no versions."""
        check_variable(name, self.system)
        if version is not None:
            raise UnsupportedOperationError(f"{self.system}: {name!r} has no versions; leave the version out")
        plaintext = await self.decrypt(await self.ciphertext(name), name)
        return Secret(payload_of(plaintext), name=name)

    async def ciphertext(self, name: str) -> bytes:
        """The bytes that the variable spells.

        Raises SecretNotFoundError, DecodeError; MalformedResponseError or UnavailableError for a broken ``.env`` file.
        """
        text = await self._text(name)
        if text is None:
            message = f"{self.system}: the environment has no variable {name!r} with its ciphertext"
            raise SecretNotFoundError(message, provider=self.system, name=name)
        problem: str
        try:
            ciphertext = parse_ciphertext(text.reveal().removeprefix(self.value_prefix))
        except DecodeError as error:
            problem = f"{error.message}; list in hosted_keys the variables that are encrypted"
        else:
            if len(ciphertext) <= self.largest:
                return ciphertext
            problem = f"it is longer than any ciphertext of {self.system}"
        raise DecodeError(f"{self.system}: the environment variable {name!r} cannot be decrypted: {problem}")

    async def _text(self, name: str) -> Secret | None:
        for variable in (*(prefix + name for prefix in self.variable_prefixes), name):
            with suppress(SecretNotFoundError):
                return await self._texts.get(variable)
        return None
