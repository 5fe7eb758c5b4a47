"""The settings that a team may have of its own, as LiteLLM's ``metadata.secret_manager_settings`` spells them.

They choose a place within a manager, or who one is there. Where requests are sent, and which files are read for that,
is for the configuration alone: whoever may edit a team could else have credentials sent to a place of his choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from asyncsecrets.errors import ConfigError
from asyncsecrets.settings import nearest

__all__ = ["overrides"]

_SECTION: Final = "secret_manager_settings"

_AWS: Final = {
    name: name
    for name in (
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_external_id", "aws_profile_name"),
        *("aws_region_name", "aws_role_name", "aws_session_name", "description", "kms_key_id"),
    )
}
_VAULT: Final = {
    **{name: name for name in ("mount_name", "path_prefix", "secret_field", "secret_namespace")},
    "data": "secret_field",
    "mount": "mount_name",
    "namespace": "secret_namespace",
}
_TAKEN: Final[Mapping[str, Mapping[str, str]]] = {
    "aws_secret_manager": _AWS,
    "azure_key_vault": {"azure_key_vault_uri": "azure_key_vault_uri"},
    "google_secret_manager": {"google_secret_manager_project_id": "google_secret_manager_project_id"},
    "hashicorp_vault": _VAULT,
}
_ELSEWHERE: Final = frozenset(key for words in _TAKEN.values() for key in words)


def overrides(system: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings of a source of ``system`` that those of a team replace. Raises ConfigError.

    ``settings`` are flat, or under ``secret_manager_settings``. Those of another manager have no effect, as with
    LiteLLM; those of none are an error. What is empty, or None, is left as it is.
    """
    nested = settings.get(_SECTION, settings) if isinstance(settings, Mapping) else settings
    if nested is None:
        return {}
    if not isinstance(nested, Mapping):
        raise ConfigError(f"{_SECTION} must be a mapping of settings")
    words = _TAKEN.get(system, {})
    for key in nested:
        if key not in words and key not in _ELSEWHERE:
            known = f" (known: {', '.join(sorted(words))})" if words else ""
            raise ConfigError(
                f"{_SECTION} has {str(key)[:80]!a}, which a team cannot replace{nearest(str(key), words)}{known}"
            )
    return {words[key]: value for key, value in nested.items() if key in words and value is not None and value != ""}
