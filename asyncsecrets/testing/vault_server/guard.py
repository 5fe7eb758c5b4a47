"""Who may ask: programs, not web pages.

A browser on this machine reaches loopback too, for every page that is open in it. Three headers tell of that, none of
which a page can change: ``Host`` (a page whose own name was pointed at 127.0.0.1, DNS rebinding, still sends that
name), ``Origin`` and ``Referer`` (which page asks), and ``Sec-Fetch-Site`` (how far from here it is; W3C Fetch
Metadata). Programs send the first alone.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from multidict import MultiMapping

from asyncsecrets.testing.vault_server._model import Reply, errors_reply

_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_OURS = {"same-origin", "none"}  # `none`: typed into the address bar
_HOST = (
    "the dev server does not answer for this Host, so that no web page reaches it by a name of its own (DNS "
    "rebinding). Use 127.0.0.1, [::1] or localhost in the address, or allow the name when you start it: "
    "`asyncsecrets dev --hostname NAME`, or VaultServer(hostnames=[NAME])"
)
_PAGE = (
    "the dev server answers programs, and this request comes from a web page (its Origin, Referer or Sec-Fetch-Site "
    "says so). Let your own program ask, and give the page what it needs; if it is your program that sends such a "
    "header, leave it out"
)


class Guard:
    """Refuses what a page sends. ``hostnames`` are names that ``Host`` may have beside those of loopback.

    Raises:
        ValueError: one of them is not a name or an IP address (no port, no wildcard).
    """

    def __init__(self, hostnames: Iterable[str] = ()) -> None:
        self._names = {"localhost", *map(_checked, hostnames)}

    def refusal(self, headers: MultiMapping[str], target: str, scheme: str) -> Reply | None:
        """The answer to a request that comes by a foreign name or from a page; None for all others."""
        hosts = [host.lower() for host in headers.getall("Host", ())]
        asked = hosts + [part.lower() for part in _authority(target)]
        if len(hosts) != 1 or not all(map(self._known, asked)):
            return errors_reply(403, _HOST)
        return errors_reply(403, _PAGE) if _from_a_page(headers, f"{scheme}://{hosts[0]}") else None

    def _known(self, authority: str) -> bool:
        parts = _AUTHORITY.fullmatch(authority)
        return parts is not None and (_is_loopback(parts[1] or parts[2]) or (parts[1] or parts[2]) in self._names)


def _from_a_page(headers: MultiMapping[str], own: str) -> bool:
    """Whether a header says that a page asks which is not the server's own."""
    origins = [origin.lower() for origin in headers.getall("Origin", ())]
    referers = [referer.lower() for referer in headers.getall("Referer", ())]
    sites = headers.getall("Sec-Fetch-Site", ())
    return (
        any(origin != own for origin in origins)
        or not all(f"{referer}/".startswith(f"{own}/") for referer in referers)
        or not all(site.lower() in _OURS for site in sites)
    )


def _authority(target: str) -> list[str]:
    """The host and port of a target in absolute form, as it is sent to a proxy."""
    scheme, found, rest = target.partition("://")
    return [re.split(r"[/?#]", rest, maxsplit=1)[0]] if found and "/" not in scheme else []


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_hostname(name: str) -> bool:
    """Whether a ``Host`` can be this: a name or an IP address, without scheme, port and wildcard."""
    return _NAME.fullmatch(name.lower()) is not None or _is_address(_bare(name))


def _bare(name: str) -> str:
    return name.lower().removeprefix("[").removesuffix("]")


def _checked(name: str) -> str:
    if not is_hostname(name):
        raise ValueError(f"{name}: a hostname is a name or an IP address, without scheme and port")
    return _bare(name)
