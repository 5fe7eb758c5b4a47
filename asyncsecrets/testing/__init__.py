"""The testing kit: what the fixtures of the pytest plugin (``plugin``) are, servers that answer as Vault
(``vault_server``), Google (``google_server``) and Azure (``azure_server``) do, the suite that every provider passes
(``conformance``), and an event loop that jumps over waiting (``virtual_time``).

Importing this package imports none of them; the names that it offers are imported when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncsecrets.lazily import finder

if TYPE_CHECKING:
    from asyncsecrets.testing.kit.clocks import SecretsClock
    from asyncsecrets.testing.kit.comparing import assert_secret_equal
    from asyncsecrets.testing.kit.fakes import FakeSecrets
    from asyncsecrets.testing.kit.leaks import LeakWatch
    from asyncsecrets.testing.kit.servers import AwsServer

__all__ = ["AwsServer", "FakeSecrets", "LeakWatch", "SecretsClock", "assert_secret_equal"]

_HOMES = {
    "AwsServer": "asyncsecrets.testing.kit.servers",
    "FakeSecrets": "asyncsecrets.testing.kit.fakes",
    "LeakWatch": "asyncsecrets.testing.kit.leaks",
    "SecretsClock": "asyncsecrets.testing.kit.clocks",
    "assert_secret_equal": "asyncsecrets.testing.kit.comparing",
}


__getattr__ = finder(globals(), _HOMES)
