"""Keys and ciphertexts of the local store: the age format (https://age-encryption.org/v1), by way of ``pyrage``.

What is encrypted is a payload behind one line that says whose payload it is: the secret's name, the version, and
whether it is text; and, where there are several recipients, the fingerprint of their list. A ciphertext that is moved
to another name or version opens all the same, and then that line gives it away.

What this does not do: whoever can change the file and knows a recipient (which is public) can encrypt a value of their
own under any name. Review changes of the file as you review code.
"""

from __future__ import annotations

import base64
import importlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from asyncsecrets.boundary import afresh, configuring
from asyncsecrets.errors import ConfigError, MissingDependencyError
from asyncsecrets.secret import Payload

__all__ = [
    "Keys",
    "Opened",
    "UnsealError",
    "check_recipients",
    "count_readers",
    "generate_key",
    "load_pyrage",
]

_MARK: Final = "asyncsecrets-local-1"

_ENDINGS: Final = re.compile(rb'(?:, "([0-9a-f]{32})")?\]\n')
_READER: Final = b"-> X25519 "  # how a line of age's header begins for each recipient

_OTHER_KEYS: Final = {
    "age1": "a public key, and the secret one is needed",
    "-----BEGIN AGE ENCRYPTED FILE": "encrypted with a passphrase, which nobody is asked for here: decrypt it with age",
    "AGE-PLUGIN-": "a key of an age plugin, and only those of age itself (X25519) can be used",
    "ssh-": "a key of ssh, and only those of age itself (X25519) can be used",
    "-----BEGIN OPENSSH": "a key of ssh, and only those of age itself (X25519) can be used",
}
"""What people take for a secret key, by how it begins."""


class UnsealError(Exception):
    """A ciphertext cannot be opened. ``wrong_key``: no key we have is for it; otherwise it is not what was sealed."""

    def __init__(self, *, wrong_key: bool) -> None:
        super().__init__()
        self.wrong_key = wrong_key


class Opened(NamedTuple):
    """What a ciphertext held: the payload, and the fingerprint of the list that it was encrypted to, or nothing."""

    payload: Payload
    fingerprint: str

    def __repr__(self) -> str:
        return "Opened(...)"


def load_pyrage() -> Any:
    """Import ``pyrage``. Raises MissingDependencyError."""
    try:
        return importlib.import_module("pyrage")
    except ImportError:
        pass
    raise MissingDependencyError(
        'local: encryption needs pyrage, which is not installed: pip install "asyncsecrets[local]"', extra="local"
    )


def generate_key() -> tuple[str, str]:
    """Make a new key. Return its secret (``AGE-SECRET-KEY-1…``) and its public half (``age1…``), the recipient.

    Raises MissingDependencyError.
    """
    identity = load_pyrage().x25519.Identity.generate()
    return str(identity), str(identity.to_public())


class Keys:
    """The keys we have; without any, it can seal and cannot open. Holds secrets, and shows none."""

    @configuring
    def __init__(self, text: str = "", *, origin: str = "the key") -> None:
        """Read keys, one on a line, whatever ends it; blanks around them, empty lines and ``# comments`` mean nothing.

        Raises ConfigError, which names ``origin`` and never quotes the text, and MissingDependencyError.
        """
        self._pyrage = load_pyrage()
        lines = [line.partition("#")[0].strip() for line in text.removeprefix("\ufeff").splitlines()]
        self._identities = [self._identity(line, origin) for line in lines if line]
        self.recipients = tuple(str(identity.to_public()) for identity in self._identities)

    def _identity(self, line: str, origin: str) -> Any:
        try:
            return self._pyrage.x25519.Identity.from_str(line)
        except self._pyrage.IdentityError:
            pass  # out of the except block: nothing of the library's error rides along
        others = [what for start, what in _OTHER_KEYS.items() if line.startswith(start)]
        hint = f"; it is {others[0]}" if others else ""
        raise ConfigError(f"local: {origin} is not an age secret key (a line AGE-SECRET-KEY-1…){hint}")

    def __bool__(self) -> bool:
        return bool(self._identities)

    def __repr__(self) -> str:
        return f"Keys({', '.join(self.recipients)})"

    @afresh
    def seal(self, payload: Payload, name: str, version: int, recipients: Sequence[str], fingerprint: str = "") -> str:
        """Encrypt for ``recipients`` (each checked before), as armored text. ``fingerprint``: of the list of them."""
        data = payload if isinstance(payload, bytes) else payload.encode("utf-8")
        header = _header(name, version, binary=isinstance(payload, bytes))
        ending = f', "{fingerprint}"]\n' if fingerprint else "]\n"
        readers = [self._pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
        return str(self._pyrage.encrypt(header + ending.encode() + data, readers, armored=True), "ascii")

    @afresh
    def unseal(self, ciphertext: str, name: str, version: int) -> Opened:
        """Return what was sealed for exactly this name and version. Raises UnsealError."""
        data = self._decrypt(ciphertext)
        for binary in (False, True):
            header = _header(name, version, binary=binary)
            ending = _ENDINGS.match(data, len(header)) if data.startswith(header) else None
            if ending is not None:
                body = data[ending.end() :]
                return Opened(body if binary else _text(body), (ending[1] or b"").decode())
        raise UnsealError(wrong_key=False)

    def _decrypt(self, ciphertext: str) -> bytes:
        try:
            return bytes(self._pyrage.decrypt(ciphertext.encode(), self._identities))
        except self._pyrage.DecryptError as error:
            wrong_key = str(error) == "No matching keys found"
        raise UnsealError(wrong_key=wrong_key)


def _header(name: str, version: int, *, binary: bool) -> bytes:
    """The line before the payload, without its ending. JSON has no line break within a text."""
    return json.dumps([_MARK, name, version, "binary" if binary else "text"]).encode().removesuffix(b"]")


def count_readers(ciphertext: str) -> int:
    """To how many keys an armored age file was encrypted. Needs no key; where the count was changed, none opens it."""
    armored = "".join(ciphertext.splitlines()[1:-1])
    try:
        header, _, _ = base64.b64decode(armored).partition(b"\n---")
    except ValueError:  # damaged
        return 0
    return sum(line.startswith(_READER) for line in header.splitlines())


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass  # its error holds the payload
    raise UnsealError(wrong_key=False)


@configuring
def check_recipients(recipients: Iterable[str]) -> None:
    """Raise ConfigError unless each of ``recipients`` is a public key (``age1…``)."""
    pyrage = load_pyrage()
    try:
        for recipient in recipients:
            pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError:
        pass
    else:
        return
    raise ConfigError("local: a recipient is not an age public key (age1…)")
