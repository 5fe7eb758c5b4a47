"""New values: of the shape that was asked for, and never twice the same."""

from __future__ import annotations

import re
import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.errors import ConfigError, DecodeError, MissingDependencyError
from asyncsecrets.rotating import Ed25519, Hex, Password, Rsa, Token, Uuid, public_key
from asyncsecrets.rotating.generators import CLASSES
from asyncsecrets.secret import Secret


@given(
    st.integers(8, 40),
    st.lists(st.sampled_from(sorted(CLASSES)), min_size=1, unique=True),
    st.text(alphabet="".join(CLASSES.values()), max_size=12),
)
def test_password(length, classes, excluded):
    """Of its length, with each class, and without what is excluded."""
    made = Password(length, tuple(classes), excluded).make()
    assert len(made) == length
    assert not set(made) & set(excluded)
    assert set(made) <= set("".join(CLASSES[name] for name in classes))
    assert all(set(made) & set(CLASSES[name]) for name in classes)


def test_symbols_that_break_what_they_are_pasted_into():
    """Quotes, backslashes, backticks and blanks are in no class."""
    assert not set("".join(CLASSES.values())) & set("'\"\\` \t\n")


@pytest.mark.parametrize(
    "rules",
    [
        {"length": 7},
        {"length": 5000},
        {"classes": ()},
        {"classes": ("letters",)},
        {"classes": "lower"},
        {"excluded": "0123456789"},
        {"length": "x"},
    ],
)
def test_rules_that_no_password_fits(rules):
    with pytest.raises(ConfigError):
        Password(**rules)


def test_others():
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", Token().make())
    assert re.fullmatch(r"[0-9a-f]{64}", Hex().make())
    assert uuid.UUID(Uuid().make()).version == 4
    for generator in (Password(), Token(), Hex(), Uuid()):
        assert len({generator.make() for _ in range(50)}) == 50


@pytest.mark.parametrize("wrong", [lambda: Token(8), lambda: Hex(10_000), lambda: Rsa(1024)])
def test_too_weak_or_too_much(wrong):
    with pytest.raises(ConfigError):
        wrong()


@pytest.mark.parametrize("generator", [Rsa(2048), Ed25519()], ids=["rsa", "ed25519"])
def test_pairs(generator):
    """The public key is the one that checks what the private one signs."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    made = generator.make()
    private = serialization.load_pem_private_key(made.encode(), None)
    public = serialization.load_pem_public_key(public_key(Secret(made, name="canary")).encode())
    more = (padding.PKCS1v15(), hashes.SHA256()) if isinstance(generator, Rsa) else ()
    signature = private.sign(b"canary", *more)
    assert public.verify(signature, b"canary", *more) is None
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"another", *more)


def test_no_pair(monkeypatch):
    with pytest.raises(DecodeError) as caught:
        public_key(Secret("canary-no-key", name="a"))
    assert "canary" not in str(caught.value)
    for module in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match="pip install cryptography"):
        Ed25519().make()
