"""CRC32C (RFC 3720, appendix B.4) of what Google is sent and answers: its clients send none and look at none."""

from __future__ import annotations

import google_crc32c

from asyncsecrets.errors import IntegrityError
from asyncsecrets.providers.call import fault

__all__ = ["Checksums", "crc32c"]


def crc32c(data: bytes) -> int:
    """The checksum of ``data``, as Google's fields hold it."""
    return int(google_crc32c.value(data))


class Checksums:
    """Looks at what one source of ``system`` is answered, and counts what came without a checksum."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._missing = 0

    def check(self, data: bytes, told: int | None, name: str | None) -> None:
        """Raise IntegrityError if ``data`` is not what the checksum was ``told`` of; without one it passes."""
        if told is None:
            self._missing += 1
        elif told != crc32c(data):
            raise self.mismatch(name, "the answer does not match its checksum")

    def mismatch(self, name: str | None, problem: str) -> IntegrityError:
        """The error of what changed on its way to Google or back."""
        text = f"{problem}: it was damaged on its way; if this goes on, look for what stands between"
        return fault(IntegrityError, self._system, name, text)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What ``client.status()`` says of them."""
        if not self._missing:
            return ()
        return (f"answers without a checksum, which were served unchecked: {self._missing}",)
