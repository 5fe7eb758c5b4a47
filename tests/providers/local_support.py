"""What the tests of the local store share: keys, an open provider, and the file read and written by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyrage
import yaml

from asyncsecrets.providers.local import LocalProvider, generate_key
from asyncsecrets.secret import Payload

SECRET, PUBLIC = generate_key()
OTHER_SECRET, OTHER_PUBLIC = generate_key()
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


async def opened(path, **settings):
    provider = LocalProvider(path, **settings)
    await provider.open()
    return provider


def load(path):
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)


def save(path, document):
    path.write_text(yaml.safe_dump(document))


def sealed(name: str, version: str, payload: Payload, recipient: str = PUBLIC) -> str:
    """The documented encryption, by hand."""
    data = payload if isinstance(payload, bytes) else payload.encode()
    kind = "binary" if isinstance(payload, bytes) else "text"
    header = json.dumps(["asyncsecrets-local-1", name, int(version), kind]).encode() + b"\n"
    return pyrage.encrypt(header + data, [pyrage.x25519.Recipient.from_str(recipient)], armored=True).decode()


def opened_by_hand(path, name, index=-1, secret=SECRET):
    ciphertext = load(path)["secrets"][name][index]["value"].encode()
    return pyrage.decrypt(ciphertext, [pyrage.x25519.Identity.from_str(secret)])
