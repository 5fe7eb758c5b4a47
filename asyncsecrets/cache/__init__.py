"""A single-flight cache with background renewal, usable on its own.

::

    cache = SingleFlightCache(fetch, CachePolicy(refresh_interval=300, max_stale=3600))
    value = await cache.get("key")

It knows keys, flights and clocks, and nothing of secrets. ``core`` is the cache and ``entries`` what it keeps,
``schedule`` and ``wheel`` say when entries are renewed and expire, ``ends`` when a value ends by itself, ``renewer`` is
the task that sees to it, ``guard`` watches over that, ``flight`` is one running fetch, ``absent`` remembers what is not
there.
"""

from asyncsecrets.cache.clock import boot_time
from asyncsecrets.cache.core import SingleFlightCache
from asyncsecrets.cache.listener import Listener, Observer, Outage
from asyncsecrets.cache.policy import CachePolicy, CacheStats, EntryState, Verdict, classify

__all__ = [
    "CachePolicy",
    "CacheStats",
    "EntryState",
    "Listener",
    "Observer",
    "Outage",
    "SingleFlightCache",
    "Verdict",
    "boot_time",
    "classify",
]
