"""``google.cloud.secretmanager.v1.SecretManagerService``, on messages of the official package."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from asyncsecrets.testing.google_server.projects import Projects
from asyncsecrets.testing.google_server.refusals import Refused, absent, invalid, need, stale_etag
from asyncsecrets.testing.google_server.store import DESTROYED, DISABLED, ENABLED, Secret, Store, Version, set_time

MAX_SIZE: Final = 65_536  # bytes of a payload
_PAGE: Final = 25_000
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ALIAS: Final = re.compile(r"(?!latest$)[A-Za-z][A-Za-z0-9_-]{0,62}")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_SECRET: Final = re.compile(r"projects/[^/]+(?:/locations/[^/]+)?/secrets/[A-Za-z0-9_-]{1,255}")
_TERM: Final = re.compile(r"(name|state|labels\.[a-z0-9_-]+)\s*([:=])\s*\"?([A-Za-z0-9_*/-]+)\"?")
_CHANGEABLE: Final = {
    "annotations", "expire_time", "labels", "rotation", "topics", "ttl", "version_aliases", "version_destroy_ttl",
}  # fmt: skip


class SecretManager:
    """The service: one method for each RPC, from the request to the response or `Refused`."""

    NAME: Final = "google.cloud.secretmanager.v1.SecretManagerService"
    HOST: Final = "secretmanager.googleapis.com"
    PERMISSIONS: Final = {
        "CreateSecret": "secretmanager.secrets.create",
        "GetSecret": "secretmanager.secrets.get",
        "UpdateSecret": "secretmanager.secrets.update",
        "DeleteSecret": "secretmanager.secrets.delete",
        "ListSecrets": "secretmanager.secrets.list",
        "AddSecretVersion": "secretmanager.versions.add",
        "AccessSecretVersion": "secretmanager.versions.access",
        "GetSecretVersion": "secretmanager.versions.get",
        "ListSecretVersions": "secretmanager.versions.list",
        "DisableSecretVersion": "secretmanager.versions.disable",
        "EnableSecretVersion": "secretmanager.versions.enable",
        "DestroySecretVersion": "secretmanager.versions.destroy",
    }

    def __init__(self, store: Store, projects: Projects, now: Callable[[], float]) -> None:
        self.types = need("google.cloud.secretmanager_v1").types
        self._empty = need("google.protobuf.empty_pb2").Empty
        self._mask = need("google.protobuf.field_mask_pb2").FieldMask
        self._crc = need("google_crc32c").value
        self._store, self._projects, self._now = store, projects, now

    # -- secrets ------------------------------------------------------------------------------------------------

    def create_secret(self, request: Any) -> Any:
        """Refuses an id that is taken, and a replication that does not go with the kind of secret."""
        if not _ID.fullmatch(request.secret_id):
            raise invalid("secret_id must match [a-zA-Z0-9_-]{1,255}.")
        name = f"{self._projects.canonical(request.parent)}/secrets/{request.secret_id}"
        if self._store.find(name) is not None:
            raise Refused("ALREADY_EXISTS", f"Secret [{name}] already exists.")
        if request.secret.HasField("replication") == ("/locations/" in name):
            raise invalid("A replication is required for a global secret, and not allowed for a regional one.")
        secret = Secret(type(request.secret)())
        secret.about.MergeFrom(request.secret)
        secret.about.name = name
        set_time(secret.about.create_time, self._now())
        return self._keep(secret)

    def get_secret(self, request: Any) -> Any:
        """Strongly consistent."""
        return self._secret(request.name).about

    def update_secret(self, request: Any) -> Any:
        """Change what the mask names, if the etag is none or that of now."""
        secret, paths = self._secret(request.secret.name), set(request.update_mask.paths)
        if not paths or not paths <= _CHANGEABLE:
            raise invalid("update_mask must name fields that can be changed.")
        if request.secret.etag not in {"", secret.about.etag}:
            raise stale_etag(secret.about.name)
        changed = Secret(type(secret.about)(), secret.versions)
        changed.about.MergeFrom(secret.about)
        request.update_mask.MergeMessage(request.secret, changed.about, True, True)
        return self._keep(changed)

    def delete_secret(self, request: Any) -> Any:
        """At once, with every version."""
        secret = self._secret(request.name)
        if request.etag not in {"", secret.about.etag}:
            raise stale_etag(secret.about.name)
        del self._store.secrets[secret.about.name]
        self._store.changed(secret.about.name)
        return self._empty()

    def list_secrets(self, request: Any) -> Any:
        """Newest first."""
        found = [secret.about for secret in self._store.listed(self._projects.canonical(request.parent))]
        kept = [about for about in found if _fits(request.filter, about.name.rpartition("/")[2], about)]
        page, token = _page(kept, request)
        return self.types.ListSecretsResponse.pb()(secrets=page, next_page_token=token, total_size=len(kept))

    # -- versions -----------------------------------------------------------------------------------------------

    def add_secret_version(self, request: Any) -> Any:
        """Refuses a checksum that does not fit, and what is empty or too large."""
        secret, payload = self._secret(request.parent), request.payload
        if not 0 < len(payload.data) <= MAX_SIZE:
            raise invalid(f"Secret Payload must have 1 to {MAX_SIZE} bytes; it has {len(payload.data)}.")
        if payload.HasField("data_crc32c") and payload.data_crc32c != self._crc(payload.data):
            raise invalid("The payload.data_crc32c checksum does not match payload.data.")
        about = self.types.SecretVersion.pb()(state=ENABLED)
        about.client_specified_payload_checksum = payload.HasField("data_crc32c")
        set_time(about.create_time, self._now())
        number = max(secret.versions, default=0) + 1
        about.name = f"{secret.about.name}/versions/{number}"
        _replicate(secret.about, about)
        secret.versions[number] = Version(about, payload.data)
        return self._touched(secret, about)

    def access_secret_version(self, request: Any) -> Any:
        """The data with their checksum, of an enabled version only."""
        version = self._version(request.name)
        if version.about.state != ENABLED:
            raise _state(version)
        reply = self.types.AccessSecretVersionResponse.pb()(name=version.about.name)
        reply.payload.data, reply.payload.data_crc32c = version.data, self._crc(version.data)
        return reply

    def get_secret_version(self, request: Any) -> Any:
        """What a version is, in any state."""
        return self._version(request.name).about

    def list_secret_versions(self, request: Any) -> Any:
        """Newest first."""
        self._secret(request.parent)
        secret = self._store.seen(self._projects.canonical(request.parent))
        found = [version.about for version in reversed((secret.versions if secret else {}).values())]
        kept = [about for about in found if _fits(request.filter, about.name.rpartition("/")[2], about)]
        page, token = _page(kept, request)
        return self.types.ListSecretVersionsResponse.pb()(versions=page, next_page_token=token, total_size=len(kept))

    def disable_secret_version(self, request: Any) -> Any:
        """No access until it is enabled again."""
        return self._changed(request, lambda version: setattr(version.about, "state", DISABLED))

    def enable_secret_version(self, request: Any) -> Any:
        """Also takes back a destruction that is only scheduled."""

        def enable(version: Version) -> None:
            version.about.state = ENABLED
            version.about.ClearField("scheduled_destroy_time")

        return self._changed(request, enable)

    def destroy_secret_version(self, request: Any) -> Any:
        """At once, or disabled first where the secret has a ``version_destroy_ttl``."""
        delay = self._secret(request.name.partition("/versions/")[0]).about.version_destroy_ttl.ToTimedelta()

        def destroy(version: Version) -> None:
            if not delay:
                return version.destroy(self._now())
            version.about.state = DISABLED
            return set_time(version.about.scheduled_destroy_time, self._now() + delay.total_seconds())

        return self._changed(request, destroy)

    # -- finding and keeping ------------------------------------------------------------------------------------

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
        number = secret.number_of(word) if secret else 0
        if secret is None or (word == "latest" and not number):
            raise Refused("NOT_FOUND", f"Secret [{base}] not found or has no versions.")
        if number not in secret.versions:
            raise absent("Secret Version", f"{base}/versions/{word}")
        return secret.versions[number]

    def _changed(self, request: Any, change: Callable[[Version], None]) -> Any:
        secret = self._secret(request.name.partition("/versions/")[0])
        number = int(self._version(request.name).about.name.rpartition("/")[2])
        version = secret.versions[number]
        if request.etag not in {"", version.about.etag}:
            raise stale_etag(version.about.name)
        if version.about.state == DESTROYED:
            raise _state(version)
        change(version)
        return self._touched(secret, version.about)

    def _touched(self, secret: Secret, version: Any) -> Any:
        version.etag = self._store.etag()
        self._store.changed(secret.about.name)
        return version

    def _keep(self, secret: Secret) -> Any:
        """Check what a client may set, and store it."""
        about = secret.about
        if about.WhichOneof("expiration") == "ttl":
            set_time(about.expire_time, self._now() + about.ttl.ToTimedelta().total_seconds())
        if about.HasField("expire_time") and about.expire_time.ToNanoseconds() <= self._now() * 1e9:
            raise invalid("expire_time must be in the future.")
        if not all(_LABEL.fullmatch(key) and _LABEL_VALUE.fullmatch(text) for key, text in about.labels.items()):
            raise invalid("labels must match [a-z][a-z0-9_-]{0,62}, and their values [a-z0-9_-]{0,63}.")
        for alias, number in about.version_aliases.items():
            if not _ALIAS.fullmatch(alias) or number not in secret.versions:
                raise invalid(f"The alias {alias} must be a word, and stand for a version that exists.")
        about.etag = self._store.etag()
        self._store.secrets[about.name] = secret
        self._store.changed(about.name)
        return about


def _state(version: Version) -> Refused:
    state = "DESTROYED" if version.about.state == DESTROYED else "DISABLED"
    return Refused("FAILED_PRECONDITION", f"Secret Version [{version.about.name}] is in {state} state.")


def _replicate(secret: Any, version: Any) -> None:
    """Say of a version where it is, and under which version of a key of the customer's."""
    if secret.replication.WhichOneof("replication") == "user_managed":
        for replica in secret.replication.user_managed.replicas:
            status = version.replication_status.user_managed.replicas.add(location=replica.location)
            _encrypt(replica, status)
    elif secret.replication.WhichOneof("replication") == "automatic":
        version.replication_status.automatic.SetInParent()
        _encrypt(secret.replication.automatic, version.replication_status.automatic)
    elif secret.HasField("customer_managed_encryption"):
        _encrypt(secret, version)


def _encrypt(wanted: Any, status: Any) -> None:
    if wanted.HasField("customer_managed_encryption"):
        key = wanted.customer_managed_encryption.kms_key_name
        status.customer_managed_encryption.kms_key_version_name = f"{key}/cryptoKeyVersions/1"


def _fits(wanted: str, name: str, about: Any) -> bool:
    """Whether a filter lets it through: terms joined by blanks or AND, each of `name:`, `state:`, `labels.x=`."""
    rest = _TERM.sub("", wanted).replace("AND", "")
    if rest.strip():
        raise invalid(f"The filter is not understood: {rest.strip()}")
    return all(_meets(field, text, name, about) for field, _, text in _TERM.findall(wanted))


def _meets(field: str, text: str, name: str, about: Any) -> bool:
    if field == "name":
        return text.lower() in name.lower()
    if field == "state":
        return bool(text == {ENABLED: "ENABLED", DISABLED: "DISABLED", DESTROYED: "DESTROYED"}[about.state])
    label = about.labels.get(field.partition(".")[2])
    return label is not None and text in {"*", label}


def _page(items: Sequence[Any], request: Any) -> tuple[Sequence[Any], str]:
    try:
        start = int(base64.urlsafe_b64decode(request.page_token or "MA=="))
    except (ValueError, binascii.Error):
        start = -1
    if start < 0 or request.page_size < 0:
        raise invalid("page_token and page_size must be those of a list.")
    end = start + min(request.page_size or _PAGE, _PAGE)
    return items[start:end], base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else ""
