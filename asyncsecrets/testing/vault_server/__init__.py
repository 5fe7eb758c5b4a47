"""A server of our own that answers as Vault and OpenBao do: the fixture of tests, and the engine of the demo.

It is a fake. Everything is in memory and in clear, it listens on loopback only, and it says so in its ``Server``
header and its version. What it answers is held against recordings of a real OpenBao.
"""

from __future__ import annotations

from .faults import Fault, Faults
from .http import RequestRecord
from .server import VaultServer

__all__ = ["Fault", "Faults", "RequestRecord", "VaultServer"]
