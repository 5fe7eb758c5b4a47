"""A vault: its secrets, and the operations of Key Vault's REST API on them, each from what was asked to the document
that answers, or `Refused`."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from asyncsecrets.testing.azure_server.refusals import Refused, absent, conflict
from asyncsecrets.testing.lagging import Lagging

_DAYS: Final = 90
_MAX_PAGE: Final = 25
_MAX_SIZE: Final = 25 * 1024  # bytes of a value
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION: Final = re.compile(r"[0-9a-f]{32}")
_API: Final = re.compile(r"7\.[0-6]|20\d\d-\d\d-\d\d")
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

    @property
    def key(self) -> str:
        """What the name is compared by."""
        return self.name.lower()


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

    def at(self, now: float) -> str:
        """The state at a time: empty, ``DELETED``, in limbo, or ``gone``."""
        if now < self.until:
            return self.limbo
        return "gone" if self.state == DELETED and now >= self.deleted + _DAYS * 86_400 else self.state


class Vault:
    """One vault; ``name`` is the first word of its ``host``, ``tenant`` whose tokens it takes."""

    def __init__(self, host: str, tenant: str, rules: Rules, now: Callable[[], float]) -> None:
        self.host, self.tenant, self.name = host, tenant, host.partition(".")[0]
        self.past: Lagging[Secret] = Lagging(now)
        self._rules, self._now = rules, now
        self._secrets: dict[str, Secret] = {}

    @property
    def uri(self) -> str:
        """Its address."""
        return f"https://{self.host}"

    @property
    def resource(self) -> str:
        """The audience of its tokens."""
        return f"https://{self.host.partition('.')[2]}"

    def set_secret(self, asked: Asked) -> dict[str, Any]:
        """A new version of a secret, which is made if it is absent."""
        value, now = asked.body.get("value"), int(self._now())
        if not isinstance(value, str) or len(value.encode()) > _MAX_SIZE:
            raise Refused(400, message=f"The value must be a text of at most {_MAX_SIZE} bytes.")
        secret = self._find(asked.key) or Secret(asked.name)
        if state := secret.at(self._now()):
            raise conflict(state, secret.name)
        attributes = {"enabled": True, "created": now, "updated": now, **_attributes(asked.body)}
        attributes |= {"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": _DAYS}
        version = Version(secrets.token_hex(16), value, attributes, _about(asked.body))
        secret.versions[version.id] = version
        return {"value": value, **self._changed(asked, secret, version)}

    def update_secret(self, asked: Asked) -> dict[str, Any]:
        """What a version is, without its value."""
        secret, version = self._version(asked, self._find(asked.key))
        attributes, about = _attributes(asked.body), _about(asked.body)
        version.attributes |= {**attributes, "updated": int(self._now())}
        version.about |= about
        return self._changed(asked, secret, version)

    def get_secret(self, asked: Asked) -> dict[str, Any]:
        """A version, the newest if none is named."""
        secret, version = self._version(asked, self.past.seen(asked.key))
        self._admit(secret.name, version)
        return {"value": version.value, **_bundle(asked.host, secret, version)}

    def get_secrets(self, asked: Asked) -> dict[str, Any]:
        """A page of the secrets that are there, by their names."""
        return self._page(asked, "secrets", self._listed(asked, ""))

    def get_secret_versions(self, asked: Asked) -> dict[str, Any]:
        """A page of versions, by their ids: that is no order in time."""
        secret = self._live(asked, self.past.seen(asked.key))
        items = {version.id: _bundle(asked.host, secret, version) for version in secret.versions.values()}
        return self._page(asked, f"secrets/{asked.name}/versions", items)

    def delete_secret(self, asked: Asked) -> dict[str, Any]:
        """Delete softly: at once for readers, and after a while it is found among the deleted."""
        secret = self._live(asked, self._find(asked.key))
        secret.deleted = self._now()
        self._pass_to(DELETED, DELETING, self._rules.deleting, secret)
        return _deleted(asked.host, secret, versioned=True)

    def get_deleted_secret(self, asked: Asked) -> dict[str, Any]:
        """What was deleted, without its value."""
        secret = self._deleted(asked, self.past.seen(asked.key))
        self._admit(secret.name, _latest(secret), dates=False)
        return _deleted(asked.host, secret, versioned=True)

    def get_deleted_secrets(self, asked: Asked) -> dict[str, Any]:
        """A page of those that can be recovered."""
        return self._page(asked, "deletedsecrets", self._listed(asked, DELETED))

    def recover_deleted_secret(self, asked: Asked) -> dict[str, Any]:
        """Take back a deletion, with all versions."""
        secret = self._deleted(asked, self._find(asked.key), writes=True)
        self._pass_to("", RECOVERING, self._rules.recovering, secret)
        return _bundle(asked.host, secret, _latest(secret))

    def purge_deleted_secret(self, asked: Asked) -> None:
        """Destroy it; its name is free after a while."""
        secret = self._deleted(asked, self._find(asked.key), writes=True)
        self._pass_to("gone", DELETING, self._rules.purging, secret)

    def _find(self, key: str) -> Secret | None:
        secret = self._secrets.get(key)
        return None if secret is None or secret.at(self._now()) == "gone" else secret

    def _live(self, asked: Asked, secret: Secret | None) -> Secret:
        if secret is None or secret.at(self._now()):
            raise absent(asked.name)
        return secret

    def _deleted(self, asked: Asked, secret: Secret | None, *, writes: bool = False) -> Secret:
        state = "gone" if secret is None else secret.at(self._now())
        if secret is not None and writes and state in {DELETING, RECOVERING}:
            raise conflict(state, secret.name)
        if secret is None or state != DELETED:
            raise absent(asked.name)
        return secret

    def _version(self, asked: Asked, secret: Secret | None) -> tuple[Secret, Version]:
        secret = self._live(asked, secret)
        if asked.version and not _VERSION.fullmatch(asked.version):
            raise Refused(400, message=f"Invalid version: {asked.version}")
        if asked.version and asked.version not in secret.versions:
            raise absent(f"{asked.name}/{asked.version}")
        return secret, secret.versions[asked.version] if asked.version else _latest(secret)

    def _admit(self, name: str, version: Version, *, dates: bool = True) -> None:
        """Refuse a disabled version and, where that is so ruled, one outside its time."""
        attributes, now = version.attributes, self._now()
        if not attributes["enabled"]:
            raise Refused(403, message="Operation get is not allowed on a disabled secret.", inner="SecretDisabled")
        if not dates or not self._rules.dates_refuse:
            return
        if now < attributes.get("nbf", now):
            message = f"Operation get is not allowed: secret {name} is not valid before {attributes['nbf']}."
            raise Refused(403, message=message, inner="SecretNotYetValid")
        if now >= attributes.get("exp", now + 1):
            raise Refused(403, message="Operation get is not allowed on an expired secret.", inner="SecretExpired")

    def _changed(self, asked: Asked, secret: Secret, version: Version) -> dict[str, Any]:
        self._secrets[asked.key] = secret
        self.past.changed(asked.key, secret)
        return _bundle(asked.host, secret, version)

    def _pass_to(self, state: str, limbo: str, seconds: float, secret: Secret) -> None:
        secret.state, secret.limbo, secret.until = state, limbo, self._now() + seconds
        self.past.changed(secret.name.lower(), secret)

    def _listed(self, asked: Asked, state: str) -> dict[str, dict[str, Any]]:
        seen = [(key, self.past.seen(key)) for key in self.past.names()]
        return {
            key: _deleted(asked.host, secret, versioned=False) if state else _item(asked.host, secret)
            for key, secret in seen
            if secret is not None and secret.at(self._now()) == state
        }

    def _page(self, asked: Asked, path: str, items: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        size = asked.query.get("maxresults", str(self._rules.page_size))
        if not size.isdecimal() or not 1 <= int(size) <= _MAX_PAGE:
            raise Refused(400, message=f"maxresults must be between 1 and {_MAX_PAGE}.")
        keys = [key for key in sorted(items) if key > _from_token(asked.query.get("$skiptoken", ""))]
        shown, more = keys[: int(size)], keys[int(size) :]
        port = "" if ":" in asked.host else ":443"
        version, token = asked.query.get("api-version", "7.6"), _to_token(shown[-1]) if more else ""
        link = f"https://{asked.host}{port}/{path}?api-version={version}&$skiptoken={token}&maxresults={size}"
        return {"value": [items[key] for key in shown], "nextLink": link if more else None}


def check(asked: Asked, *, named: bool) -> None:
    """Refuse a version of the API that is not there, and a name that is none."""
    if not _API.fullmatch(version := asked.query.get("api-version", "")):
        raise Refused(400, message=f"The specified version ({version}) is not recognized. Consider using 2025-07-01.")
    if named and not _NAME.fullmatch(asked.name):
        raise Refused(400, message=f"The request URI contains an invalid name: {asked.name}")


def _attributes(body: Mapping[str, Any]) -> dict[str, Any]:
    given = body.get("attributes") or {}
    kinds = {"enabled": bool, "nbf": int, "exp": int}
    found = {key: given[key] for key in kinds if given.get(key) is not None}
    if not all(type(value) is kinds[key] for key, value in found.items()):
        raise Refused(400, message="Property attributes has invalid value.")
    return found


def _about(body: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: body[key] for key in ("contentType", "tags") if body.get(key) is not None}
    tags = found.get("tags", {})
    texts = [found.get("contentType", ""), *tags, *tags.values()]
    if len(tags) > 15 or not all(isinstance(text, str) and len(text) <= 512 for text in texts):
        raise Refused(400, message="Property tags or contentType has invalid value.")
    return found


def _latest(secret: Secret) -> Version:
    return next(reversed(secret.versions.values()))


def _bundle(host: str, secret: Secret, version: Version) -> dict[str, Any]:
    address = f"https://{host}/secrets/{secret.name}/{version.id}"
    return {"id": address, "attributes": dict(version.attributes), **version.about}


def _item(host: str, secret: Secret) -> dict[str, Any]:
    return _bundle(host, secret, _latest(secret)) | {"id": f"https://{host}/secrets/{secret.name}"}


def _deleted(host: str, secret: Secret, *, versioned: bool) -> dict[str, Any]:
    facts = _bundle(host, secret, _latest(secret)) if versioned else _item(host, secret)
    dates = {"deletedDate": int(secret.deleted), "scheduledPurgeDate": int(secret.deleted) + _DAYS * 86_400}
    return {"recoveryId": f"https://{host}/deletedsecrets/{secret.name}", **dates, **facts}


def _to_token(key: str) -> str:
    return base64.urlsafe_b64encode(json.dumps({"NextMarker": key}).encode()).decode().rstrip("=")


def _from_token(token: str) -> str:
    try:
        return str(json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))["NextMarker"]) if token else ""
    except (ValueError, LookupError, TypeError):
        raise Refused(400, message="The skip token is not valid.") from None
