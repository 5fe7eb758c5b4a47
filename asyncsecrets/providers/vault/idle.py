"""Closing a session's idle connections once one connection has turned out dead.

A firewall that forgets its state, or a machine that vanishes, leaves a whole pool of connections that look good and
answer nobody. Each of them would cost a caller one attempt's time. aiohttp offers no public way to close only what is
idle, so this module reaches for private attributes, each guarded; where they are missing, nothing is closed.
"""

from __future__ import annotations

from typing import Any

import aiohttp

__all__ = ["drop_idle"]


def drop_idle(session: aiohttp.ClientSession) -> int:
    """Close the connections that wait to be used again, and none that is in use; return how many there were."""
    connector: Any = session.connector
    pools: dict[Any, Any] = getattr(connector, "_conns", {})
    idle = [protocol for pool in pools.values() for protocol, _ in pool]
    pools.clear()
    for protocol in idle:
        transport = getattr(protocol, "transport", None)
        if transport is not None:
            transport.abort()  # an orderly end, TLS's above all, would wait for a peer that is not there
    return len(idle)
