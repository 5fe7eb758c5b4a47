"""A server of our own that answers as Vault and OpenBao do: the fixture of tests, and the engine of the demo.

It is a fake. Everything is in memory and in clear, it listens on loopback only, and it says so in its ``Server``
header and its version. What it answers is held against recordings of a real OpenBao 2.6.

Where it is less than the real one, it refuses instead of pretending: policies with ``allowed_parameters`` and its kin,
JWT by JWKS or OIDC discovery, mounts other than ``kv``, settings of the certificate method. It has no ``SCAN``, no
identity, no leases, no audit, no replication, and its tables of mounts tell a little less.
"""

from __future__ import annotations

from asyncsecrets.testing.vault_server.faults import Fault, Faults
from asyncsecrets.testing.vault_server.requests import RequestRecord
from asyncsecrets.testing.vault_server.server import VaultServer

__all__ = ["Fault", "Faults", "RequestRecord", "VaultServer"]
