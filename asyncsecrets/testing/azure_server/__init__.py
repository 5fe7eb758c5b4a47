"""A server of our own that answers as Azure Key Vault, Entra ID and the endpoints of managed identity do, to Azure's
own clients, under Azure's names, with TLS and challenges that they verify.

It is a fake: everything is in memory and in clear, and it listens on loopback only. It needs the extras ``azure`` and
``testing``.

::

    from azure.core.pipeline.transport import AioHttpTransport
    from azure.identity.aio import ClientSecretCredential
    from azure.keyvault.secrets.aio import SecretClient

    async with AzureServer() as server:           # or: with AzureServer.in_thread() as server
        server.add("NAME", "sk-example-1")        # a version of a secret; server.value("NAME") reads it
        session = aiohttp.ClientSession(connector=server.connector())
        transport = AioHttpTransport(session=session, session_owner=False)
        app = server.tenant, server.client_id, server.client_secret
        client = SecretClient(server.uri, ClientSecretCredential(*app, transport=transport), transport=transport)

**Finding it.** ``server.uri`` is ``https://demo.vault.azure.net``. `connector` makes a connector of aiohttp's that
finds the names where the fake listens, `adapter` does so for a session of requests' (for clients that block), and
``server.addresses`` are the names with their host and port. ``server.ca_file`` is the throw-away CA. `environ` gives
the variables of a program, by the kind of its identity. `vault` makes more vaults, also ``vault("other",
"vault.azure.cn")`` and ``vault.usgovcloudapi.net``, each with `add`, `value` and `delete`; a vault that was not made
has no address, as in Azure. The SDK keeps challenges for the whole process, by host: give each test a vault of its own
name, or clear them.

**Running.** `stop` kills it and `start` brings it back on the same ports, with the data.

**Time.** ``clock=`` gives the time, ``server.advance(seconds)`` moves it, ``server.now()`` tells it: it rules the
lifetime of tokens, limbos, dates and lag. ``sleep=`` carries out delays.

**Secrets.** ``server.rules`` says how long (s) a deletion, a recovery and a purge take (``deleting``, ``recovering``,
``purging``), and ``page_size``. Azure hands out secrets that are expired or not yet valid, and so does the fake;
``rules.dates_refuse`` makes it 403.

**Who asks.** ``server.entra``: `add(client_id)` is another application, `certificate_file` and `federated_token_file`
write what it proves itself with; `issue(principal)` makes a token, ``lifetime`` (s) is how long one is good,
`expire()` ends those that are out, `revoke(principal)` those of one, `demand_claims(principal)` challenges with claims
(CAE). ``server.machine``: managed identity, ``system`` (a client id, or None) and ``assigned``. A vault's ``tenant``
can be changed. `deny("ForbiddenByRbac", method=, principal=, name=)` (``ForbiddenByPolicy``, ``ForbiddenByFirewall``)
and `allow()`.

**Lag.** `lag(seconds)` shows every change so much later to who reads; `freeze()` shows nothing new until `lag()`.

**Faults** (`Faults`): ``server.faults.status(503, method="GetSecret", times=2)``, `throttle`, `page`, `hang`, `delay`,
`drop`, `corrupt`; `clear` ends them.

**What came.** ``server.requests`` are `RequestRecord`, oldest first; ``server.count("GetSecret")``. A request without a
token, by which clients ask for the challenge, is a ``challenge``.

Less than the real one: no backup and no restore of one, no certificates and keys, grants of Entra ID but client
credentials, roles (everything is allowed that is not denied).
"""

from __future__ import annotations

from asyncsecrets.testing.azure_server.calls import Faults
from asyncsecrets.testing.azure_server.server import AzureServer
from asyncsecrets.testing.calls import Fault, RequestRecord

__all__ = ["AzureServer", "Fault", "Faults", "RequestRecord"]
