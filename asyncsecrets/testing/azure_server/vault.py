"""A vault: its secrets, and the operations of Key Vault's REST API on them, each from what was asked to the document
that answers, or `Refused`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from asyncsecrets.testing.azure_server.refusals import Refused, absent, taken
from asyncsecrets.testing.lagging import Lagging

_DAYS: Final = 90
_MAX_PAGE: Final = 25
_MAX_SIZE: Final = 25 * 1024  # bytes of a value
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION: Final = re.compile(r"[0-9a-f]{32}")
_API: Final = re.compile(r"7\.[0-6]|20\d\d-\d\d-\d\d")
_KINDS: Final = {"enabled": bool, "nbf": int, "exp": int}
_ABOUT: Final = {"contentType", "tags"}
_RECOVERY: Final = {"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": _DAYS}
DELETING, RECOVERING, DELETED = "ObjectIsBeingDeleted", "ObjectIsBeingRecovered", "ObjectIsDeletedButRecoverable"


@dataclass(slots=True)
class Rules:
    """How every vault behaves: seconds that a deletion, a recovery and a purge take, whether what is expired or not
    yet valid is refused, and how many items a page has."""

    deleting: float = 0.0
    recovering: float = 0.0
    purging: float = 0.0
    dates_refuse: bool = False
    page_size: int = _MAX_PAGE


@dataclass(slots=True)
class Asked:
    """What was asked, of which host."""

    host: str
    name: str = ""
    version: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Version:
    """A version of a secret."""

    id: str
    value: str = field(repr=False)
    attributes: dict[str, Any]
    about: dict[str, Any]


@dataclass(slots=True)
class Secret:
    """A secret with its versions, oldest first; ``state`` is that after ``until``, and ``limbo`` the one before."""

    name: str
    versions: dict[str, Version] = field(default_factory=dict)
    state: str = ""
    limbo: str = ""
    until: float = 0.0
    deleted: float = 0.0

    @property
    def newest(self) -> Version:
        """What is read if no version is named."""
        return next(reversed(self.versions.values()))

    def at(self, now: float) -> str:
        """The state at a time: empty, ``DELETED``, in limbo, or ``gone``."""
        if now < self.until:
            return self.limbo
        return "gone" if self.state == DELETED and now >= self.deleted + _DAYS * 86_400 else self.state


class Vault:
    """One vault; ``name`` is the first word of its ``host``, ``tenant`` whose tokens it takes."""

    def __init__(self, host: str, tenant: str, rules: Rules, now: Callable[[], float]) -> None:
        self.host, self.tenant, self.name = host, tenant, host.partition(".")[0]
        self.uri, self.resource = f"https://{host}", f"https://{host.partition('.')[2]}"
        self.past: Lagging[Secret] = Lagging(now)
        self._rules, self._now = rules, now
        self._secrets: dict[str, Secret] = {}

    # For who seeds a test

    def add(self, name: str, value: str, *, attributes: dict[str, Any] | None = None, **about: Any) -> str:
        """Add a version to a secret, which is made if it is absent; the version. ``attributes`` are ``enabled``,
        ``nbf``, ``exp``; ``about`` are ``contentType`` and ``tags``. Raises TypeError for others."""
        if not about.keys() <= _ABOUT:
            raise TypeError(f"a secret has {', '.join(sorted(_ABOUT))}; not {', '.join(sorted(about.keys() - _ABOUT))}")
        body = {"value": value, "attributes": attributes, **about}
        return str(self.set_secret(Asked(self.host, name, body=body))["id"]).rpartition("/")[2]

    def value(self, name: str, version: str = "") -> str:
        """The value of a version as it is, the newest if none is named."""
        asked = Asked(self.host, name, version)
        return self._version(asked, self._found(asked))[1].value

    def delete(self, name: str) -> None:
        """Delete a secret softly."""
        self.delete_secret(Asked(self.host, name))

    # The operations

    def set_secret(self, asked: Asked) -> dict[str, Any]:
        """A new version of a secret, which is made if it is absent."""
        value, now = asked.body.get("value"), int(self._now())
        if not isinstance(value, str) or len(value.encode()) > _MAX_SIZE:
            raise Refused(400, f"The value must be a text of at most {_MAX_SIZE} bytes.")
        secret = self._found(asked) or Secret(asked.name)
        if state := secret.at(self._now()):
            raise taken(state, secret.name)
        attributes = {"enabled": True, "created": now, "updated": now, **_attributes(asked.body), **_RECOVERY}
        version = Version(secrets.token_hex(16), value, attributes, _about(asked.body))
        secret.versions[version.id] = version
        return {"value": value, **self._changed(asked, secret, version)}

    def update_secret(self, asked: Asked) -> dict[str, Any]:
        """What a version is, without its value."""
        secret, version = self._version(asked, self._found(asked))
        attributes, about = _attributes(asked.body), _about(asked.body)
        version.attributes |= {**attributes, "updated": int(self._now())}
        version.about |= about
        return self._changed(asked, secret, version)

    def get_secret(self, asked: Asked) -> dict[str, Any]:
        """A version, the newest if none is named."""
        secret, version = self._version(asked, self._seen(asked))
        self._admit(version)
        return {"value": version.value, **_bundle(asked.host, secret, version)}

    def get_secrets(self, asked: Asked) -> dict[str, Any]:
        """A page of the secrets that are there, by their names."""
        return self._page(asked, "secrets", {key: _item(asked.host, each) for key, each in self._listed("")})

    def get_secret_versions(self, asked: Asked) -> dict[str, Any]:
        """A page of versions, by their ids: that is no order in time."""
        secret = self._live(asked, self._seen(asked))
        items = {version.id: _bundle(asked.host, secret, version) for version in secret.versions.values()}
        return self._page(asked, f"secrets/{asked.name}/versions", items)

    def delete_secret(self, asked: Asked) -> dict[str, Any]:
        """Delete softly: at once for readers, and after a while it is found among the deleted."""
        secret = self._live(asked, self._found(asked))
        secret.deleted = self._now()
        self._pass_to(DELETED, DELETING, self._rules.deleting, secret)
        return _deletion(asked.host, secret) | _bundle(asked.host, secret, secret.newest)

    def get_deleted_secret(self, asked: Asked) -> dict[str, Any]:
        """What was deleted, without its value."""
        secret = self._deleted(asked, self._seen(asked))
        self._admit(secret.newest, dates=False)
        return _deletion(asked.host, secret) | _bundle(asked.host, secret, secret.newest)

    def get_deleted_secrets(self, asked: Asked) -> dict[str, Any]:
        """A page of those that can be recovered."""
        host = asked.host
        items = {key: _deletion(host, each) | _item(host, each) for key, each in self._listed(DELETED)}
        return self._page(asked, "deletedsecrets", items)

    def recover_deleted_secret(self, asked: Asked) -> dict[str, Any]:
        """Take back a deletion, with all versions."""
        secret = self._deleted(asked, self._found(asked), writes=True)
        self._pass_to("", RECOVERING, self._rules.recovering, secret)
        return _bundle(asked.host, secret, secret.newest)

    def purge_deleted_secret(self, asked: Asked) -> None:
        """Destroy it; its name is free after a while."""
        self._pass_to("gone", DELETING, self._rules.purging, self._deleted(asked, self._found(asked), writes=True))

    def _found(self, asked: Asked) -> Secret | None:
        secret = self._secrets.get(asked.name.lower())
        return None if secret is None or secret.at(self._now()) == "gone" else secret

    def _seen(self, asked: Asked) -> Secret | None:
        return self.past.seen(asked.name.lower())

    def _live(self, asked: Asked, secret: Secret | None) -> Secret:
        if secret is None or secret.at(self._now()):
            raise absent(asked.name)
        return secret

    def _deleted(self, asked: Asked, secret: Secret | None, *, writes: bool = False) -> Secret:
        state = secret.at(self._now()) if secret else ""
        if writes and state in {DELETING, RECOVERING}:
            raise taken(state, asked.name)
        if secret is None or state != DELETED:
            raise absent(asked.name)
        return secret

    def _version(self, asked: Asked, secret: Secret | None) -> tuple[Secret, Version]:
        secret = self._live(asked, secret)
        if asked.version and not _VERSION.fullmatch(asked.version):
            raise Refused(400, f"Invalid version: {asked.version}")
        if asked.version and asked.version not in secret.versions:
            raise absent(f"{asked.name}/{asked.version}")
        return secret, secret.versions[asked.version] if asked.version else secret.newest

    def _admit(self, version: Version, *, dates: bool = True) -> None:
        """Refuse a disabled version and, where that is so ruled, one outside its time."""
        attributes, now = version.attributes, self._now()
        if not attributes["enabled"]:
            raise Refused(403, "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        if not dates or not self._rules.dates_refuse:
            return
        if now < attributes.get("nbf", now):
            raise Refused(403, f"The secret is not valid before {attributes['nbf']}.", "SecretNotYetValid")
        if now >= attributes.get("exp", now + 1):
            raise Refused(403, "Operation get is not allowed on an expired secret.", "SecretExpired")

    def _changed(self, asked: Asked, secret: Secret, version: Version) -> dict[str, Any]:
        self._secrets[asked.name.lower()] = secret
        self.past.changed(asked.name.lower(), secret)
        return _bundle(asked.host, secret, version)

    def _pass_to(self, state: str, limbo: str, seconds: float, secret: Secret) -> None:
        secret.state, secret.limbo, secret.until = state, limbo, self._now() + seconds
        self.past.changed(secret.name.lower(), secret)

    def _listed(self, state: str) -> list[tuple[str, Secret]]:
        seen = [(key, self.past.seen(key)) for key in self.past.names()]
        return [(key, secret) for key, secret in seen if secret is not None and secret.at(self._now()) == state]

    def _page(self, asked: Asked, path: str, items: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        size = asked.query.get("maxresults", str(self._rules.page_size))
        if not size.isdecimal() or not 1 <= int(size) <= _MAX_PAGE:
            raise Refused(400, f"maxresults must be between 1 and {_MAX_PAGE}.")
        after = asked.query.get("$skiptoken", "")
        keys = [key for key in sorted(items) if key.encode().hex() > after]
        shown, port = keys[: int(size)], "" if ":" in asked.host else ":443"
        query = {"api-version": asked.query["api-version"], "$skiptoken": shown[-1].encode().hex() if shown else ""}
        link = f"https://{asked.host}{port}/{path}?{urlencode({**query, 'maxresults': size})}"
        return {"value": [items[key] for key in shown], "nextLink": link if len(shown) < len(keys) else None}


def check(asked: Asked, *, named: bool) -> None:
    """Refuse a version of the API that is not there, and a name that is none."""
    if not _API.fullmatch(version := asked.query.get("api-version", "")):
        raise Refused(400, f"The specified version ({version}) is not recognized. Consider using 2025-07-01.")
    if named and not _NAME.fullmatch(asked.name):
        raise Refused(400, f"The request URI contains an invalid name: {asked.name}")


def _attributes(body: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: given for key, given in (body.get("attributes") or {}).items() if given is not None and key in _KINDS}
    if not all(type(given) is _KINDS[key] for key, given in found.items()):
        raise Refused(400, "Property attributes has invalid value.")
    return found


def _about(body: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: body[key] for key in _ABOUT if body.get(key) is not None}
    tags = found.get("tags", {})
    texts = [found.get("contentType", ""), *tags, *tags.values()]
    if len(tags) > 15 or not all(isinstance(text, str) and len(text) <= 512 for text in texts):
        raise Refused(400, "Property tags or contentType has invalid value.")
    return found


def _bundle(host: str, secret: Secret, version: Version) -> dict[str, Any]:
    address = f"https://{host}/secrets/{secret.name}/{version.id}"
    return {"id": address, "attributes": version.attributes, **version.about}


def _item(host: str, secret: Secret) -> dict[str, Any]:
    return _bundle(host, secret, secret.newest) | {"id": f"https://{host}/secrets/{secret.name}"}


def _deletion(host: str, secret: Secret) -> dict[str, Any]:
    dates = {"deletedDate": int(secret.deleted), "scheduledPurgeDate": int(secret.deleted) + _DAYS * 86_400}
    return {"recoveryId": f"https://{host}/deletedsecrets/{secret.name}", **dates}
