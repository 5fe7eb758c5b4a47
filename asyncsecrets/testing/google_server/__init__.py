"""A server of our own that answers as Google Secret Manager and Google KMS do, to Google's own clients.

It is a fake: everything is in memory and in clear, and it listens on loopback only. It needs the extra ``google``.

::

    async with GoogleServer() as server:          # or: with GoogleServer.in_thread() as server
        server.add("NAME", "sk-example-1")        # a version of a secret; server.value("NAME") reads it
        server.delete("OTHER")
        key = server.key()                        # a KMS key: key.name, key.rotate(), key.disable(), key.enable()
        ciphertext = server.encrypt(b"sk-example-1", key, aad=b"context")
        channel = grpc.aio.insecure_channel(server.endpoint)
        client = SecretManagerServiceAsyncClient(transport=SecretManagerServiceGrpcAsyncIOTransport(channel=channel))

**Running.** ``server.endpoint`` is gRPC's ``host:port``, ``server.url`` the HTTP side's. `stop` kills both and
`start` brings them back on the same ports, with the data. ``GoogleServer(tls=True)`` has the endpoint
``localhost:port`` and a throw-away CA in ``server.ca_file`` (for ``GRPC_DEFAULT_SSL_ROOTS_FILE_PATH``, set before the
first secure channel).

**Time.** ``clock=`` gives the time, ``server.advance(seconds)`` moves it, ``server.now()`` tells it: it rules the
lifetime of tokens, ``expire_time``, delayed destruction and lag. ``sleep=`` carries out delays.

**Who asks.** ``tokens=None`` asks nobody; ``tokens={"tok1"}`` accepts that one for ever; ``tokens=()`` only what
``server.identity`` issues: `issue(principal)` makes a token, ``lifetime`` (s) is how long one is good, `expire()`
ends those that are out, `revoke(principal)` also what one gets new ones for. Credential files, written to
``server.folder`` (each takes ``**more`` fields, such as ``quota_project_id=``): `service_account_file`,
`authorized_user_file`, `external_account_file` (``source="file"`` or ``"url"``, ``account=`` to act as),
`impersonated_file(account)`. The metadata server is at ``server.url`` too: ``GCE_METADATA_HOST`` and
``GCE_METADATA_IP`` are its ``host:port``. `deny(permission, principal=, name=)` and `allow()`; `add_project`;
`break_project("SERVICE_DISABLED")` (or ``BILLING_DISABLED``, ``CONSUMER_INVALID``; None mends it).

**Lag.** `lag(seconds)` shows readers of ``latest``, aliases and lists every change so much later; `freeze_latest()`
shows them nothing new until `lag()`. A version's number is always as it is.

**Faults** (`Faults`): ``server.faults.status("UNAVAILABLE", method="AccessSecretVersion", times=2)``, `exhausted`,
`hang`, `delay`, `drop`, `corrupt`; `clear` ends them. ``method="metadata"`` (``token``, ``exchange``,
``impersonate``, ``subject``) is the HTTP side. `fall_silent()` keeps gRPC's connections and loses their bytes; new
ones are as ever.

**What came.** ``server.requests`` are `RequestRecord` of gRPC and HTTP, oldest first;
``server.count("AccessSecretVersion")``.

Less than the real one: a method that is not here is UNIMPLEMENTED; there are no roles (everything is allowed that is
not denied), one endpoint serves all locations, filters know ``name:``, ``state:`` and ``labels.``. google-auth asks
Google itself for the tokens of an ``authorized_user`` and of an ``impersonated_service_account``, whatever the file
says: ``credentials.with_token_uri(server.token_uri)`` leads the one to the fake, and
``credentials._iam_endpoint_override = server.identity.impersonation_url(account)`` the other.
"""

from __future__ import annotations

from asyncsecrets.testing.calls import Fault, RequestRecord
from asyncsecrets.testing.google_server.calls import Faults
from asyncsecrets.testing.google_server.server import GoogleServer

__all__ = ["Fault", "Faults", "GoogleServer", "RequestRecord"]
