"""KV v2 as a mount sees it: which path and which operation reaches which function of the store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from asyncsecrets.testing.vault_server._durations import format_duration
from asyncsecrets.testing.vault_server._model import (
    INVALID,
    Call,
    Refused,
    Reply,
    absent,
    envelope,
    listing,
    multi_error,
    no_content,
    page,
    timestamp,
    unsupported_operation,
)
from asyncsecrets.testing.vault_server.engines import Engine
from asyncsecrets.testing.vault_server.store import Entry, Settings, Version, VersionedStore, clean, subkeys

_NO_ROOT = "Non-listing operations on the root of a K/V v2 mount are not supported."
_WRONG_PATH = (
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. "
    "If using the OpenBao CLI, use 'bao kv {}' for this operation."
)
_VERBS = {"create": "put", "update": "put", "patch": "patch", "read": "get", "list": "list", "delete": "delete"}


_UPGRADING = (
    "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will "
    "resume service shortly."
)
_MANDATED = '"cas_required" set to false, but is mandated by backend config. This value will be ignored.'
_UPGRADE_TAKES = 0.2  # seconds


class VersionedEngine(Engine):
    """KV v2."""

    def __init__(self) -> None:
        self.store = VersionedStore()
        self.ready_at = float("-inf")  # until then an upgrade from KV v1 is under way

    @classmethod
    def upgraded(cls, old: dict[str, dict[str, Any]], now: float) -> VersionedEngine:
        """An engine that takes over the secrets of a KV v1 mount, each as its version 1, and answers a moment later."""
        engine = cls()
        for path, data in old.items():
            engine.store.write(path, data, {}, now)
        engine.ready_at = now + _UPGRADE_TAKES
        return engine

    def exists(self, path: str, /) -> bool:
        section, _, name = path.partition("/")
        return section not in {"data", "metadata"} or clean(name) in self.store.entries  # only these two know a create

    def handle(self, call: Call, path: str, /) -> Reply:
        section, slash, name = path.partition("/")
        if path != "config" and (not slash or section not in _SECTIONS):
            return _wrong_path(call, path)
        if call.now < self.ready_at:
            raise Refused(400, _UPGRADING)
        if path == "config":
            return _warned(call, path, lambda: self._config(call))
        return _warned(call, section, lambda: self._handle(call, section, name))

    def _handle(self, call: Call, section: str, name: str) -> Reply:
        handlers = _SECTIONS[section]
        handler = handlers.get("update" if call.operation == "create" else call.operation)
        if handler is None:
            raise unsupported_operation()
        if section in {"data", "metadata"} and call.operation in {"create", "update"}:
            return _before_validation(lambda: handler(self, call, name))
        return handler(self, call, name)  # type: ignore[no-any-return]  # a table of methods of this very class

    def read(self, call: Call, name: str) -> Reply:
        number, entry, version = self._version(call, name)
        self.store.check_data(name, version, call.now)
        body = {"data": version.data, "metadata": version_data(entry, number, version)}
        return envelope(_hidden(body, "data", version, call.now), status=200 if version.readable(call.now) else 404)

    def read_subkeys(self, call: Call, name: str) -> Reply:
        number, entry, version = self._version(call, name)
        self.store.check_data(name, version, call.now)
        shape = None if version.data is None else subkeys(version.data, call.number("depth"))
        body = {"subkeys": shape, "metadata": version_data(entry, number, version)}
        return envelope(_hidden(body, "subkeys", version, call.now), status=200 if version.readable(call.now) else 404)

    def _version(self, call: Call, name: str) -> tuple[int, Entry, Version]:
        found = self.store.find(name, call.number("version"))
        if found is None:
            raise absent()
        entry, number, version = found
        return number, entry, version

    def write(self, call: Call, name: str) -> Reply:
        data, options = payload(call)
        entry = self.store.write(name, data, options, call.now)
        return envelope(version_data(entry, entry.current, entry.versions[entry.current]))

    def patch(self, call: Call, name: str) -> Reply:
        data, options = payload(call)
        entry = self.store.patch(name, data, options, call.now)
        if entry is not None:
            return envelope(version_data(entry, entry.current, entry.versions[entry.current]))
        found = self.store.find(name)
        if found is None:
            return Reply(404)
        return envelope(version_data(found[0], found[1], found[2]), status=404)

    def delete_latest(self, call: Call, name: str) -> Reply:
        self.store.delete_latest(name, call.now)
        return no_content()

    def delete(self, call: Call, name: str) -> Reply:
        self.store.delete(name, _versions(call), call.now)
        return no_content()

    def undelete(self, call: Call, name: str) -> Reply:
        self.store.undelete(name, _versions(call), call.now)
        return no_content()

    def destroy(self, call: Call, name: str) -> Reply:
        self.store.destroy(name, _versions(call, "no version number provided"))
        return no_content()

    def list(self, call: Call, name: str) -> Reply:
        return listing(page(self.store.list(name), call))

    def list_detailed(self, call: Call, name: str) -> Reply:
        keys = page(self.store.list(name), call)
        prefix = f"{name.rstrip('/')}/" if name.strip("/") else ""
        entries = {key: self.store.entries.get(prefix + key) for key in keys}
        return listing(keys, key_info={key: metadata(entry) if entry else {} for key, entry in entries.items()})

    def read_metadata(self, _call: Call, name: str) -> Reply:
        entry = self.store.entries.get(clean(name))
        if entry is None:
            raise absent()
        return envelope(metadata(entry))

    def write_metadata(self, call: Call, name: str) -> Reply:
        if not _SETTINGS & call.body.keys():
            return no_content()
        entry = self.store.entries.get(clean(name))
        self._check_metadata_cas(call, entry)
        custom = _custom_metadata(call)
        entry = entry or Entry(call.now, call.now)
        _apply(entry.settings, call)
        self._touch(entry, custom, call.now)
        self.store.entries[clean(name)] = entry
        mandated = "cas_required" in call.body and not entry.settings.cas_required and self.store.settings.cas_required
        return envelope(warnings=[_MANDATED]) if mandated else no_content()

    def patch_metadata(self, call: Call, name: str) -> Reply:
        if not _SETTINGS & call.body.keys():
            return no_content()
        _apply(Settings(), call)  # a field of a wrong type is refused before anything is looked for
        entry = self.store.entries.get(clean(name))
        if entry is None:
            return Reply(404)
        self._check_metadata_cas(call, entry)
        changes = _custom_metadata(call)
        for value in (call.body.get("custom_metadata") or {}).values():
            if value is not None and not isinstance(value, str):
                text = "json: cannot unmarshal number into Go struct field KeyMetadata.custom_metadata of type string"
                raise Refused(500, multi_error(text))
        if call.number("max_versions") < 0:
            text = (
                f"cannot unmarshal number {call.number('max_versions')} into Go struct field KeyMetadata.max_versions"
            )
            raise Refused(500, multi_error(f"json: {text} of type uint32"))
        removed = {key for key, value in (call.body.get("custom_metadata") or {}).items() if value is None}
        _apply(entry.settings, call)
        if "custom_metadata" in call.body and call.body["custom_metadata"] is None:
            entry.custom_metadata = None
        merged = {**(entry.custom_metadata or {}), **(changes or {})}
        self._touch(entry, {k: v for k, v in merged.items() if k not in removed} or None, call.now)
        return no_content()

    def _touch(self, entry: Entry, custom: dict[str, str] | None, now: float) -> None:
        entry.metadata_version += 1
        entry.updated = now
        if custom is not None:
            entry.custom_metadata = custom

    def _check_metadata_cas(self, call: Call, entry: Entry | None) -> None:
        required = self.store.settings.metadata_cas_required or (entry and entry.settings.metadata_cas_required)
        if "metadata_cas" not in call.body:
            if required:
                raise Refused(400, "metadata check-and-set parameter required for this call")
            return
        wanted = call.number("metadata_cas")
        if entry is None and wanted != 0:
            raise Refused(400, "metadata_cas must be 0 when creating new metadata")
        if entry is not None and wanted != entry.metadata_version:
            raise Refused(400, "metadata check-and-set parameter does not match the current version")

    def delete_metadata(self, _call: Call, name: str) -> Reply:
        self.store.entries.pop(clean(name), None)
        return no_content()

    def _config(self, call: Call) -> Reply:
        settings = self.store.settings
        if call.operation in {"create", "update"}:
            _apply(settings, call, signed=True)
            return no_content()
        if call.operation != "read":
            raise unsupported_operation()
        return envelope(_settings_data(settings))


_SECTIONS: dict[str, dict[str, Any]] = {
    "data": {
        "read": VersionedEngine.read,
        "update": VersionedEngine.write,
        "patch": VersionedEngine.patch,
        "delete": VersionedEngine.delete_latest,
    },
    "metadata": {
        "read": VersionedEngine.read_metadata,
        "update": VersionedEngine.write_metadata,
        "patch": VersionedEngine.patch_metadata,
        "delete": VersionedEngine.delete_metadata,
        "list": VersionedEngine.list,
    },
    "detailed-metadata": {"list": VersionedEngine.list_detailed},
    "delete": {"update": VersionedEngine.delete},
    "undelete": {"update": VersionedEngine.undelete},
    "destroy": {"update": VersionedEngine.destroy},
    "subkeys": {"read": VersionedEngine.read_subkeys},
}
_SETTINGS = {"max_versions", "cas_required", "metadata_cas_required", "delete_version_after", "custom_metadata"}


_KNOWN = {
    "data": {"data", "options", "version"},
    "metadata": _SETTINGS | {"after", "limit", "metadata_cas"},
    "detailed-metadata": {"after", "limit"},
    "subkeys": {"depth", "version"},
    "config": _SETTINGS - {"custom_metadata"},
}


def _warned(call: Call, section: str, act: Callable[[], Reply]) -> Reply:
    """The answer, with a warning of parameters that the path does not know; with one, an empty list is no 404."""
    given = call.query if call.operation in {"read", "list", "delete"} else call.body
    unknown = sorted(given.keys() - _KNOWN.get(section, given.keys()))
    if not unknown:
        return act()
    try:
        reply = act()
    except Refused as refused:
        if call.operation != "list" or refused.reply.status != 404:
            raise
        reply = envelope({})
    if reply.status == 200 and isinstance(reply.body, dict):
        reply.body["warnings"] = [f"Endpoint ignored these unrecognized parameters: [{' '.join(unknown)}]"]
    return reply


def payload(call: Call) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """``data`` and ``options`` of a write; ``"data": null`` is null.

    Raises:
        Refused: 400, there is no data, or one of them is no object.
    """
    for name in ("data", "options"):
        found = call.body.get(name)
        if found is not None and not isinstance(found, dict):
            raise Refused.conversion(name, "map[string]interface {}", found)
    if "data" not in call.body:
        raise Refused(400, "no data provided")
    return call.stored()["data"], call.body.get("options") or {}


def _before_validation(act: Callable[[], Reply]) -> Reply:
    """Where the server asks first whether the secret exists, a field of a wrong type is refused in shorter words."""
    try:
        return act()
    except Refused as refused:
        body = refused.reply.body
        if isinstance(body, dict) and "errors" in body:
            body["errors"] = [text.removeprefix(INVALID) for text in body["errors"]]
        raise


def _versions(call: Call, missing: str = "No version number provided") -> list[int]:
    found = call.value("versions")
    items = found if isinstance(found, list) else str(found or "").split(",")
    numbers = []
    for at, item in enumerate(items):
        if not re.fullmatch(r"-?[0-9]{0,18}", str(item)):
            where = f"decoding failed due to the following error(s):\n\n'[{at}]'"
            raise Refused.unparsable("versions", "int", "strconv.ParseInt", where)
        numbers += [int(item)] if item != "" else []
    if not numbers:
        raise Refused(400, missing)
    return numbers


def _wrong_path(call: Call, path: str) -> Reply:
    on_root = path in {"metadata", "data", "delete", "undelete", "destroy"}
    warning = _NO_ROOT if on_root else _WRONG_PATH.format(_VERBS[call.operation])
    return envelope(status=404, warnings=[warning])


def _hidden(body: dict[str, Any], field: str, version: Version, now: float) -> dict[str, Any]:
    return body if version.readable(now) else {**body, field: None}


def version_data(entry: Entry, number: int, version: Version) -> dict[str, Any]:
    """The metadata of one version as reads and writes tell it."""
    return {"custom_metadata": entry.custom_metadata, "version": number, **_version_times(version)}


def _version_times(version: Version) -> dict[str, Any]:
    return {
        "created_time": timestamp(version.created),
        "deletion_time": "" if version.deleted_at is None else timestamp(version.deleted_at),
        "destroyed": version.destroyed,
    }


def metadata(entry: Entry) -> dict[str, Any]:
    """All metadata of a secret."""
    return {
        **_settings_data(entry.settings),
        "created_time": timestamp(entry.created),
        "updated_time": timestamp(entry.updated),
        "current_version": entry.current,
        "oldest_version": entry.oldest,
        "current_metadata_version": entry.metadata_version,
        "custom_metadata": entry.custom_metadata,
        "versions": {str(number): _version_times(version) for number, version in entry.versions.items()},
    }


def _settings_data(settings: Settings) -> dict[str, Any]:
    return {
        "max_versions": settings.max_versions,
        "cas_required": settings.cas_required,
        "metadata_cas_required": settings.metadata_cas_required,
        "delete_version_after": format_duration(settings.delete_version_after),
    }


def _apply(settings: Settings, call: Call, *, signed: bool = False) -> None:
    after = call.seconds("delete_version_after", settings.delete_version_after)
    if after < 0 and not signed:
        text = f"cannot provide negative value '{after}'"
        raise Refused(400, f'{INVALID}error converting input for field "delete_version_after": {text}')
    settings.max_versions = call.number("max_versions", settings.max_versions) % 2**32  # kept without a sign
    settings.cas_required = call.flag("cas_required", default=settings.cas_required)
    settings.metadata_cas_required = call.flag("metadata_cas_required", default=settings.metadata_cas_required)
    settings.delete_version_after = after


def _custom_metadata(call: Call) -> dict[str, str] | None:
    found = call.body.get("custom_metadata")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise Refused.conversion("custom_metadata", "map[string]interface {}", found)
    texts = {key: _weak_text(value) for key, value in found.items() if value is not None}
    for problem in (problem for key, value in texts.items() for problem in _problems(key, value)):
        raise Refused(400, multi_error(f"custom_metadata validation failed: {problem}"))
    if len(texts) > 64:
        text = f"payload must contain at most 64 keys, provided {len(texts)}"
        raise Refused(400, multi_error(f"custom_metadata validation failed: {text}"))
    return texts


def _weak_text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        kind = "map[string]interface {}" if isinstance(value, dict) else "[]interface {}"
        text = f"'' expected type 'string', got unconvertible type '{kind}'"
        raise Refused(400, f"custom_metadata validation failed: {text}")
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else json.dumps(value)


def _problems(key: str, value: str) -> list[str]:
    found = []
    if not 0 < len(key.encode()) <= 128:
        found.append(f'length of key "{key}" is {len(key.encode())} but must be 0 < len(key) <= 128')
    if not 0 < len(value.encode()) <= 512:
        found.append(f'length of value for key "{key}" is {len(value.encode())} but must be 0 < len(value) <= 512')
    return found
