"""What is this machine, and that a name of it is looked at again when it is resolved."""

from __future__ import annotations

import socket

import pytest

from asyncsecrets.providers.loopback import ElsewhereError, LoopbackResolver, is_loopback, resolve


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("vault.localhost", True),
        ("127.0.0.1.evil.test", False),
        ("127.1", False),
        ("127.999.1.1", False),
        ("2130706433", False),
        ("localhost.evil.test", False),
        ("notlocalhost", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::2", False),
        ("", False),
    ],
)
def test_this_machine(host, loopback):
    """Literal addresses of loopback, and the names that stand for one."""
    assert is_loopback(host) == loopback


RESOLVED = {
    "here": (["127.0.0.1"], True),
    "both families": (["::1", "127.0.0.1"], True),
    "elsewhere": (["198.51.100.7"], False),
    "elsewhere too": (["127.0.0.1", "198.51.100.7"], False),
    "everywhere": (["0.0.0.0"], False),
    "the machine's metadata": (["169.254.169.254"], False),
}


@pytest.mark.parametrize("what", RESOLVED)
@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "vault.localhost", "localhost."])
async def test_a_local_name_is_looked_at_again(resolving, name, what):
    """All of what it resolves to has to be this machine."""
    addresses, good = RESOLVED[what]
    resolving(*addresses)
    if good:
        assert [entry["host"] for entry in await LoopbackResolver().resolve(name, 80, socket.AF_UNSPEC)] == addresses
        assert resolve(name, 80) == addresses
        return
    with pytest.raises(ElsewhereError):
        await LoopbackResolver().resolve(name, 80, socket.AF_UNSPEC)
    with pytest.raises(ElsewhereError):
        resolve(name, 80)


async def test_other_names_may_be_anywhere(resolving):
    """They are spoken to by https, or with the explicit word for plain http."""
    resolving("198.51.100.7")
    assert [entry["host"] for entry in await LoopbackResolver().resolve("vault.test", 80)] == ["198.51.100.7"]
