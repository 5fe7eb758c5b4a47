"""CRC32C, and what is said of answers without one."""

from __future__ import annotations

import pytest

pytest.importorskip("google_crc32c")

from asyncsecrets.errors import IntegrityError
from asyncsecrets.providers.google.checksums import Checksums, crc32c


def test_the_polynomial():
    """The test vectors of RFC 3720, appendix B.4."""
    assert crc32c(b"") == 0
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_a_mismatch_is_an_error_and_a_missing_one_is_counted():
    """Whoever is not checked is told of; the value is not."""
    checksums = Checksums("google_kms")
    checksums.check(b"canary", crc32c(b"canary"), "NAME")
    assert checksums.remarks == ()
    for told in (crc32c(b"canary") ^ 1, 0, -1):
        with pytest.raises(IntegrityError, match="google_kms: 'NAME': the answer does not match") as caught:
            checksums.check(b"canary", told, "NAME")
        assert "canary" not in str(caught.value)
        assert (caught.value.provider, caught.value.name) == ("google_kms", "NAME")
    assert checksums.remarks == ()
    checksums.check(b"canary", None, "NAME")
    checksums.check(b"canary", None, None)
    assert checksums.remarks == ("answers without a checksum, which were served unchecked: 2",)
