"""``google.cloud.secretmanager.v1.SecretManagerService``, on messages of the official package."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from asyncsecrets.testing.google_server.projects import Projects
from asyncsecrets.testing.google_server.refusals import Refused, absent, invalid, need
from asyncsecrets.testing.google_server.store import DESTROYED, DISABLED, ENABLED, Secret, Store, Version, set_time

_MAX_SIZE: Final = 65_536  # bytes of a payload
_MAX_PAGE: Final = 25_000
_STATES: Final = {ENABLED: "ENABLED", DISABLED: "DISABLED", DESTROYED: "DESTROYED"}
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_SECRET: Final = re.compile(rf"projects/[^/]+(?:/locations/[^/]+)?/secrets/{_ID.pattern}")
_ALIAS: Final = re.compile(r"(?!latest$)[A-Za-z][A-Za-z0-9_-]{0,62}")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}")
_TERM: Final = re.compile(r"(name|state|labels\.[a-z0-9_-]+)\s*[:=]\s*\"?([A-Za-z0-9_*/-]+)\"?")
_CHANGEABLE: Final = {
    "annotations", "expire_time", "labels", "rotation", "topics", "ttl", "version_aliases", "version_destroy_ttl",
}  # fmt: skip


class SecretManager:
    """The service: one method for each RPC, from the request to the response or `Refused`."""

    NAME: Final = "google.cloud.secretmanager.v1.SecretManagerService"
    HOST: Final = "secretmanager.googleapis.com"
    PERMISSIONS: Final = {
        f"{verb}{what}": f"secretmanager.{'versions' if 'Version' in what else 'secrets'}.{verb.lower()}"
        for what, verbs in {
            "Secret": "Create Get Update Delete",
            "Secrets": "List",
            "SecretVersion": "Add Access Get Disable Enable Destroy",
            "SecretVersions": "List",
        }.items()
        for verb in verbs.split()
    }

    def __init__(self, store: Store, projects: Projects, now: Callable[[], float]) -> None:
        self.types, self._crc = need("google.cloud.secretmanager_v1").types, need("google_crc32c").value
        self._store, self._projects, self._now = store, projects, now

    def create_secret(self, request: Any) -> Any:
        """Refuses an id that is taken, and a replication that does not go with the kind of secret."""
        if not _ID.fullmatch(request.secret_id):
            raise invalid("secret_id must match [a-zA-Z0-9_-]{1,255}.")
        secret = Secret(copy.deepcopy(request.secret))
        name = secret.about.name = f"{self._projects.canonical(request.parent)}/secrets/{request.secret_id}"
        if self._store.find(name) is not None:
            raise Refused("ALREADY_EXISTS", f"Secret [{name}] already exists.")
        if secret.about.HasField("replication") == ("/locations/" in name):
            raise invalid("A replication is required for a global secret, and not allowed for a regional one.")
        set_time(secret.about.create_time, self._now())
        return self._keep(secret)

    def get_secret(self, request: Any) -> Any:
        """Strongly consistent."""
        return self._secret(request.name).about

    def update_secret(self, request: Any) -> Any:
        """Change what the mask names."""
        secret, mask = self._secret(request.secret.name), request.update_mask
        if not mask.paths or not _CHANGEABLE.issuperset(mask.paths):
            raise invalid("update_mask must name fields that can be changed.")
        _expect(request.secret.etag, secret.about)
        changed = Secret(copy.deepcopy(secret.about), secret.versions)
        mask.MergeMessage(request.secret, changed.about, replace_message_field=True, replace_repeated_field=True)
        return self._keep(changed)

    def delete_secret(self, request: Any) -> Any:
        """At once, with every version."""
        secret = self._secret(request.name)
        _expect(request.etag, secret.about)
        del self._store.secrets[secret.about.name]
        self._store.changed(secret.about.name)
        return need("google.protobuf.empty_pb2").Empty()

    def list_secrets(self, request: Any) -> Any:
        """Newest first."""
        found = [secret.about for secret in self._store.listed(self._projects.canonical(request.parent))]
        return _page(self.types.ListSecretsResponse.pb()(), "secrets", found, request)

    def add_secret_version(self, request: Any) -> Any:
        """Refuses a checksum that does not fit, and what is empty or too large."""
        secret, payload = self._secret(request.parent), request.payload
        if not 0 < len(payload.data) <= _MAX_SIZE:
            raise invalid(f"Secret Payload must have 1 to {_MAX_SIZE} bytes; it has {len(payload.data)}.")
        if payload.HasField("data_crc32c") and payload.data_crc32c != self._crc(payload.data):
            raise invalid("The payload.data_crc32c checksum does not match payload.data.")
        number = max(secret.versions, default=0) + 1
        about = self.types.SecretVersion.pb()(name=f"{secret.about.name}/versions/{number}")
        about.client_specified_payload_checksum = payload.HasField("data_crc32c")
        set_time(about.create_time, self._now())
        _replicate(secret.about, about)
        secret.versions[number] = Version(about, payload.data)
        return self._touched(secret, about, ENABLED)

    def access_secret_version(self, request: Any) -> Any:
        """The data with their checksum, of an enabled version only."""
        version = self._version(request.name)
        if version.about.state != ENABLED:
            raise _wrong_state(version)
        payload = {"data": version.data, "data_crc32c": self._crc(version.data)}
        return self.types.AccessSecretVersionResponse.pb()(name=version.about.name, payload=payload)

    def get_secret_version(self, request: Any) -> Any:
        """What a version is, in any state."""
        return self._version(request.name).about

    def list_secret_versions(self, request: Any) -> Any:
        """Newest first."""
        secret = self._secret(request.parent)
        secret = self._store.seen(secret.about.name) or Secret(secret.about)
        found = [version.about for version in reversed(secret.versions.values())]
        return _page(self.types.ListSecretVersionsResponse.pb()(), "versions", found, request)

    def disable_secret_version(self, request: Any) -> Any:
        """No access until it is enabled again."""
        secret, version = self._changeable(request)
        return self._touched(secret, version.about, DISABLED)

    def enable_secret_version(self, request: Any) -> Any:
        """Also takes back a destruction that is only scheduled."""
        secret, version = self._changeable(request)
        version.about.ClearField("scheduled_destroy_time")
        return self._touched(secret, version.about, ENABLED)

    def destroy_secret_version(self, request: Any) -> Any:
        """At once, or disabled first where the secret has a ``version_destroy_ttl``."""
        secret, version = self._changeable(request)
        if delay := secret.about.version_destroy_ttl.ToTimedelta().total_seconds():
            set_time(version.about.scheduled_destroy_time, self._now() + delay)
            return self._touched(secret, version.about, DISABLED)
        version.destroy(self._now())
        return self._touched(secret, version.about, DESTROYED)

    def _secret(self, name: str) -> Secret:
        if not _SECRET.fullmatch(name):
            raise invalid(f"The provided Secret ID [{name}] does not match the expected format.")
        name = self._projects.canonical(name)
        secret = self._store.find(name)
        if secret is None:
            raise absent("Secret", name)
        return secret

    def _version(self, name: str) -> Version:
        """By its number as it is; by ``latest`` or an alias as a replica sees it."""
        base, _, word = name.partition("/versions/")
        if not _SECRET.fullmatch(base) or not _ID.fullmatch(word):
            raise invalid(f"The provided Secret Version ID [{name}] does not match the expected format.")
        base = self._projects.canonical(base)
        secret = self._store.find(base) if word.isdecimal() else self._store.seen(base)
        if secret is None or not secret.versions:
            raise Refused("NOT_FOUND", f"Secret [{base}] not found or has no versions.")
        number = secret.number_of(word)
        if number not in secret.versions:
            raise absent("Secret Version", f"{base}/versions/{word}")
        return secret.versions[number]

    def _changeable(self, request: Any) -> tuple[Secret, Version]:
        """A version that can change its state, and its secret."""
        secret = self._secret(request.name.partition("/versions/")[0])
        number = int(self._version(request.name).about.name.rpartition("/")[2])
        version = secret.versions[number]
        _expect(request.etag, version.about)
        if version.about.state == DESTROYED:
            raise _wrong_state(version)
        return secret, version

    def _touched(self, secret: Secret, version: Any, state: int) -> Any:
        version.state, version.etag = state, self._store.etag()
        self._store.changed(secret.about.name)
        return version

    def _keep(self, secret: Secret) -> Any:
        """Check what a client may set, and store it."""
        about = secret.about
        if about.WhichOneof("expiration") == "ttl":
            set_time(about.expire_time, self._now() + about.ttl.ToTimedelta().total_seconds())
        if about.HasField("expire_time") and about.expire_time.ToNanoseconds() <= self._now() * 1e9:
            raise invalid("expire_time must be in the future.")
        if not all(_LABEL.fullmatch(f"{key}={text}") for key, text in about.labels.items()):
            raise invalid(f"labels must match {_LABEL.pattern}.")
        for alias, number in about.version_aliases.items():
            if not _ALIAS.fullmatch(alias) or number not in secret.versions:
                raise invalid(f"The alias {alias} must be a word, and stand for a version that exists.")
        about.etag = self._store.etag()
        self._store.secrets[about.name] = secret
        self._store.changed(about.name)
        return about


def _expect(etag: str, about: Any) -> None:
    if etag not in {"", about.etag}:
        raise Refused("FAILED_PRECONDITION", f"The etag in the request is not that of [{about.name}].")


def _wrong_state(version: Version) -> Refused:
    state = _STATES[version.about.state]
    return Refused("FAILED_PRECONDITION", f"Secret Version [{version.about.name}] is in {state} state.")


def _replicate(secret: Any, version: Any) -> None:
    """Say of a version where it is, and under which version of a key of the customer's."""
    pairs = [(secret, version)]
    if secret.replication.HasField("user_managed"):
        replicas = secret.replication.user_managed.replicas
        status = version.replication_status.user_managed.replicas
        pairs = [(replica, status.add(location=replica.location)) for replica in replicas]
    elif secret.replication.HasField("automatic"):
        version.replication_status.automatic.SetInParent()
        pairs = [(secret.replication.automatic, version.replication_status.automatic)]
    for wanted, status in pairs:
        if key := wanted.customer_managed_encryption.kms_key_name:
            status.customer_managed_encryption.kms_key_version_name = f"{key}/cryptoKeyVersions/1"


def _fits(field: str, text: str, about: Any) -> bool:
    """Whether one term of a filter lets it through."""
    if field == "name":
        return text.lower() in about.name.rpartition("/")[2].lower()
    if field == "state":
        return text == _STATES[about.state]
    label = field.partition(".")[2]
    return label in about.labels and text in {"*", about.labels[label]}


def _page(reply: Any, into: str, items: Sequence[Any], request: Any) -> Any:
    """The page that was asked for, of what the filter lets through."""
    if _TERM.sub("", request.filter).replace("AND", "").strip():
        raise invalid(f"The filter is not understood: {request.filter}")
    terms = _TERM.findall(request.filter)
    kept = [about for about in items if all(_fits(field, text, about) for field, text in terms)]
    token = request.page_token or "0"
    start = int(token) if token.isdecimal() else -1
    if start < 0 or request.page_size < 0:
        raise invalid("page_token and page_size must be those of a list.")
    end = start + min(request.page_size or _MAX_PAGE, _MAX_PAGE)
    getattr(reply, into).extend(kept[start:end])
    reply.total_size = len(kept)
    reply.next_page_token = str(end) if end < len(kept) else ""
    return reply
