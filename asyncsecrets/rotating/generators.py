"""What makes new values. Each is a frozen dataclass of its rules, checked when it is made."""

from __future__ import annotations

import secrets
import string
import uuid
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol

from asyncsecrets.boundary import afresh, configured
from asyncsecrets.errors import ConfigError, DecodeError, MissingDependencyError
from asyncsecrets.secret import Secret

__all__ = ["Ed25519", "Generator", "Hex", "Password", "Rsa", "Token", "Uuid", "public_key"]

CLASSES: Final = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "digits": string.digits,
    "symbols": "!#$%&()*+,-./:;<=>?@[]^_{|}~",
}
"""The characters of each class. No quote, backslash or backtick is among them: shells and connection strings differ."""

_LONGEST: Final = 4096
_BITS: Final = frozenset({2048, 3072, 4096})


class Generator(Protocol):
    """Makes values. Any object with this method is one."""

    def make(self) -> str:
        """A new value. Called in a thread: it may take its time."""


@configured
@dataclass(frozen=True, slots=True)
class Password:
    """A password of ``length`` characters, at least one of each class: lower, upper, digits, symbols.

    ``excluded``: characters that must not be in it, because the consumer has no place for them. Each password that
    fits the rules is equally likely. Raises ConfigError for rules that no password fits.
    """

    length: int = 32
    classes: tuple[str, ...] = ("lower", "upper", "digits")
    excluded: str = ""

    def __post_init__(self) -> None:
        unknown = [name for name in self.classes if name not in CLASSES]
        if unknown or not self.classes or isinstance(self.classes, str):
            raise ConfigError(f"the classes of a password are some of: {', '.join(CLASSES)}")
        if not max(8, len(self.classes)) <= self.length <= _LONGEST:
            raise ConfigError(f"a password has from 8 to {_LONGEST} characters")
        if not all(self._alphabets()):
            raise ConfigError("a class of characters is excluded as a whole: leave out the class instead")

    def _alphabets(self) -> list[str]:
        kept = [CLASSES[name] for name in dict.fromkeys(self.classes)]
        return ["".join(char for char in alphabet if char not in self.excluded) for alphabet in kept]

    def make(self) -> str:
        """A password."""
        alphabets = self._alphabets()
        every = "".join(alphabets)
        while True:
            made = "".join(secrets.choice(every) for _ in range(self.length))
            if not any(set(made).isdisjoint(alphabet) for alphabet in alphabets):
                return made


def _check_size(size: int) -> None:
    if not 16 <= size <= _LONGEST // 2:
        raise ConfigError(f"a value is made of 16 to {_LONGEST // 2} random bytes")


@configured
@dataclass(frozen=True, slots=True)
class Token:
    """``size`` random bytes as text that fits into a URL."""

    size: int = 32

    def __post_init__(self) -> None:
        _check_size(self.size)

    def make(self) -> str:
        """A token."""
        return secrets.token_urlsafe(self.size)


@configured
@dataclass(frozen=True, slots=True)
class Hex:
    """``size`` random bytes as hexadecimal digits, two for each."""

    size: int = 32

    def __post_init__(self) -> None:
        _check_size(self.size)

    def make(self) -> str:
        """The digits."""
        return secrets.token_hex(self.size)


@dataclass(frozen=True, slots=True)
class Uuid:
    """A random UUID (version 4), which has 122 random bits."""

    def make(self) -> str:
        """A UUID."""
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


@configured
@dataclass(frozen=True, slots=True)
class Rsa:
    """An RSA pair: the value is the private key in PEM (PKCS #8), of which ``public_key`` tells the public one."""

    bits: int = 3072

    def __post_init__(self) -> None:
        if self.bits not in _BITS:
            raise ConfigError(f"an RSA key has {', '.join(map(str, sorted(_BITS)))} bits")

    def make(self) -> str:
        """A private key. Raises MissingDependencyError without the package cryptography."""
        return _pem(_cryptography("rsa").generate_private_key(public_exponent=65537, key_size=self.bits))


@dataclass(frozen=True, slots=True)
class Ed25519:
    """An Ed25519 pair, otherwise as ``Rsa``."""

    def make(self) -> str:
        """A private key. Raises MissingDependencyError without the package cryptography."""
        return _pem(_cryptography("ed25519").Ed25519PrivateKey.generate())


@afresh
def public_key(private: Secret) -> str:
    """The public key in PEM of a private one that ``Rsa`` or ``Ed25519`` has made. It is not secret.

    Raises DecodeError for what is no private key.
    """
    kinds = _serialization()
    try:
        found = kinds.load_pem_private_key(private.reveal_bytes(), password=None).public_key()
    except (TypeError, ValueError):  # may quote what it was given
        found = None
    if found is None:
        raise DecodeError(f"{private.name!r} is no private key in PEM")
    text: bytes = found.public_bytes(kinds.Encoding.PEM, kinds.PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def _pem(key: Any) -> str:
    kinds = _serialization()
    text: bytes = key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, kinds.NoEncryption())
    return text.decode()


def _cryptography(kind: str) -> Any:
    return _need(f"cryptography.hazmat.primitives.asymmetric.{kind}")


def _serialization() -> Any:
    return _need("cryptography.hazmat.primitives.serialization")


def _need(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError:
        pass
    text = "pairs of keys need the package 'cryptography', which is not installed: pip install cryptography"
    raise MissingDependencyError(text, extra="")
