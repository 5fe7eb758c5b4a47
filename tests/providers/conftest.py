"""What the tests of every manager share."""

from __future__ import annotations

import re
import socket

import pytest

from asyncsecrets.providers.local import init_store
from tests.providers.local_support import NOW, PUBLIC, SECRET, opened


@pytest.fixture
def resolving(monkeypatch):
    """Have every name resolve to the given addresses, and no address."""

    def give(*addresses):
        real = socket.getaddrinfo

        def resolve(host, port, *args, **options):
            if not re.search("[a-z]", host, re.IGNORECASE) or ":" in host:
                return real(host, port, *args, **options)
            families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
            more = [(0, 0) if family is socket.AF_INET6 else () for family in families]
            return [
                (family, socket.SOCK_STREAM, 6, "", (address, port or 0, *rest))
                for family, address, rest in zip(families, addresses, more, strict=True)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return give


@pytest.fixture
def path(tmp_path):
    """The path of an empty local store."""
    init_store(tmp_path / "secrets.yaml", PUBLIC)
    return tmp_path / "secrets.yaml"


@pytest.fixture
async def local(path):
    """An open provider of that store with its key, at a fixed time."""
    provider = await opened(path, key=SECRET, now=lambda: NOW)
    yield provider
    await provider.aclose()
