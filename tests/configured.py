"""A configuration of one manager, what is told where it is refused, and files of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets.config import SourceConfig, load_config
from asyncsecrets.errors import ConfigError


def config(system: str, environ: Mapping[str, str] | None = None, /, **given: Any) -> SourceConfig:
    """The default source of a configuration that has just this manager and these settings."""
    document = {"general_settings": {"key_management_system": system, "key_management_settings": given}}
    return load_config(document, environ or {}).sources["default"]


def refused(document: Any, environ: Mapping[str, str] | None = None) -> str:
    """The message with which ``document`` is refused; it never shows a value."""
    with pytest.raises(ConfigError) as caught:
        load_config(document, environ or {})
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)
    return str(caught.value)


def settings_refused(system: str, environ: Mapping[str, str] | None = None, /, **given: Any) -> str:
    return refused({"general_settings": {"key_management_system": system, "key_management_settings": given}}, environ)


def writer(tmp_path: Path) -> Callable[..., Path]:
    """What writes a file there. It is a fixture of those who need one."""

    def write(text: str | bytes, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write
