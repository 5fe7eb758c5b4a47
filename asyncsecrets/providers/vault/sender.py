"""Who sends a request to Vault, as the headers that say so."""

from __future__ import annotations

from typing import Final

from multidict import CIMultiDict

__all__ = ["Sender"]

# Not of the session: what a session always sends, aiohttp shows to proxies as well.
_ALWAYS: Final = {
    "X-Vault-Request": "true",
    "Accept-Encoding": "identity",
    "User-Agent": "asyncsecrets",
}


class Sender:
    """Who sends: a token (or nobody, for a login) and a namespace, as ready-made headers that no repr shows."""

    __slots__ = ("_json", "_patch", "_plain")

    def __init__(self, token: str = "", namespace: str = "") -> None:
        pairs = {"X-Vault-Token": token, "X-Vault-Namespace": namespace}
        self._plain = CIMultiDict({**_ALWAYS, **{name: value for name, value in pairs.items() if value}})
        self._json = CIMultiDict({**self._plain, "Content-Type": "application/json"})
        self._patch = CIMultiDict({**self._plain, "Content-Type": "application/merge-patch+json"})

    def headers(self, method: str, *, unforwarded: bool = False) -> CIMultiDict[str]:
        """The headers of a request, made once, as reads are many, in the form that aiohttp takes as it is.

        ``unforwarded``: a standby is not to forward it to the active node, but to redirect it.
        """
        if method == "GET":
            return self._plain
        headers = self._patch if method == "PATCH" else self._json
        return CIMultiDict({**headers, "X-Vault-No-Request-Forwarding": "true"}) if unforwarded else headers
