"""Where the key of the local store lies."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_key_file"]


def default_key_file() -> Path:
    """``ASYNCSECRETS_KEY_FILE``, else ``asyncsecrets/key.txt`` in the user's configuration folder (XDG)."""
    if given := os.environ.get("ASYNCSECRETS_KEY_FILE"):
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "asyncsecrets" / "key.txt"
