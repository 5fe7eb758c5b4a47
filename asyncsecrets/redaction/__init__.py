"""Keeping values out of logs: a filter that masks every value handed out, and a leash for SDKs that log secrets.

Nothing here is a licence to log secrets. The filter is a net below everything else::

    handler.addFilter(RedactionFilter())

Put it on *handlers*: a filter on a logger does not see the records of the loggers below it. From the moment the
first one is made, every value that a client hands out is remembered (the newest 10,000 of them, rotated-out ones among
them), and those that are warm at that moment as well. Known with a value are the members of a JSON payload, each long
line of one that has several, and the value without the blanks around it.

``heard`` is what clients tell, and all that is imported before something is to be masked. ``plain`` brings text to a
form in which all ways of escaping look alike, ``wrapped`` takes the breaks out of base64 in lines, ``known`` finds
values in either, ``spelling`` finds the place of a found value in the text as it is, ``leaves`` goes through whatever a
record carries, ``errors`` through exceptions, ``records`` puts it together. ``leash`` keeps chatty SDK loggers quiet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncsecrets.lazily import finder
from asyncsecrets.redaction.heard import handed_out, holds_secrets

if TYPE_CHECKING:
    from asyncsecrets.redaction.leash import contain, contain_new
    from asyncsecrets.redaction.leaves import mask
    from asyncsecrets.redaction.records import RedactionFilter

__all__ = ["RedactionFilter", "contain", "contain_new", "handed_out", "holds_secrets", "mask"]

_HOMES = {
    "RedactionFilter": "asyncsecrets.redaction.records",
    "contain": "asyncsecrets.redaction.leash",
    "contain_new": "asyncsecrets.redaction.leash",
    "mask": "asyncsecrets.redaction.leaves",
}


# Most programs mask nothing, and a command that reads one secret should not wait for what would.
__getattr__ = finder(globals(), _HOMES)
