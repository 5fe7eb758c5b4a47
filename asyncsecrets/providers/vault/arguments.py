"""What callers hand in, checked before anything is sent: the server would take some of it for something else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from asyncsecrets.errors import ConfigError, DecodeError
from asyncsecrets.providers.vault.documents import INEXACT, body_of, numbers_are_exact

__all__ = ["given", "metadata_document", "patch_body"]

_DURATION: Final = re.compile(r"[0-9]+|(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_PART: Final = re.compile(r"([0-9.]+)(ms|s|m|h|d)")
_UNITS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_LONGEST: Final = (2**63 - 1) // 10**9  # seconds; the server counts nanoseconds in 64 bits
_MOST_KEYS, _LONGEST_KEY, _LONGEST_VALUE = 64, 128, 512  # the server's limits of custom metadata; bytes
_MOST_VERSIONS: Final = 2**31 - 1


def given(versions: Sequence[str]) -> Sequence[str]:
    """Versions that are a list of some. Raises ConfigError: none must not mean all, nor the text "12" 1 and 2."""
    if isinstance(versions, str) or not versions:
        raise ConfigError("versions must be a list of at least one version; leave it out for the whole secret")
    return versions


def patch_body(name: str, document: Mapping[str, Any]) -> bytes:
    """The body of a patch. Raises DecodeError for what JSON cannot express, or Vault not keep, without showing it."""
    try:
        body = body_of(document)
        exact = numbers_are_exact(body.decode())
    except (ValueError, TypeError, RecursionError):  # the exception quotes the values, so ours is raised after it
        exact = None
    if exact is None:
        raise DecodeError(f"{name!r}: the changes hold something that JSON text cannot express")
    if not exact:
        raise DecodeError(f"{name!r}: the changes hold {INEXACT}")
    return body


def metadata_document(
    custom: Mapping[str, str] | None,
    delete_version_after: str | None,
    max_versions: int | None,
    cas_required: bool | None,
) -> dict[str, Any]:
    """The settings to change. Raises ConfigError for a value that the server would refuse, or misread."""
    if custom is not None:
        _check_custom(custom)
    if delete_version_after is not None and not _is_duration(delete_version_after):
        raise ConfigError("delete_version_after is not a duration such as 720h, 90m or 1h30m, of at most 292 years")
    if max_versions is not None and (isinstance(max_versions, bool) or not 0 <= max_versions <= _MOST_VERSIONS):
        raise ConfigError("max_versions must not be negative; 0 is the setting of the mount")
    wanted = {
        "custom_metadata": dict(custom) if custom is not None else None,
        "delete_version_after": delete_version_after,
        "max_versions": max_versions,
        "cas_required": cas_required,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _is_duration(text: str) -> bool:
    if not _DURATION.fullmatch(text):
        return False
    if text.isdigit():
        return Decimal(text) <= _LONGEST
    seconds = sum(Decimal(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))
    return seconds <= _LONGEST


def _check_custom(custom: Mapping[str, str]) -> None:
    if len(custom) > _MOST_KEYS:
        raise ConfigError(f"custom metadata has at most {_MOST_KEYS} keys")
    for key, value in custom.items():
        for text, longest in ((key, _LONGEST_KEY), (value, _LONGEST_VALUE)):
            if not isinstance(text, str) or not text.isprintable() or not 0 < len(text.encode()) <= longest:
                raise ConfigError(
                    f"custom metadata is printable text: keys of 1 to {_LONGEST_KEY} bytes with values of 1 to "
                    f"{_LONGEST_VALUE} bytes"
                )
