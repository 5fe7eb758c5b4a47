"""Virtual keys: what an application mints is stored, renamed, rotated and deleted at a secret manager, under a prefix.

``keys`` has ``VirtualKeys``, the public class. An alias becomes a name in ``names``. What a rotation needs beside the
key stands in a ``record``; ``rotation`` and ``renaming`` are the steps, each of which can be the last one of a process.
``reconciling`` finds what was left half done, ``matching`` says whether a candidate is accepted, ``questions`` spares
the manager those who guess, and ``teams`` says which settings a team may have of its own.
"""

from asyncsecrets.virtual_keys.keys import VirtualKeys
from asyncsecrets.virtual_keys.matching import Match
from asyncsecrets.virtual_keys.reconciling import Finding
from asyncsecrets.virtual_keys.rotation import Rotated

__all__ = ["Finding", "Match", "Rotated", "VirtualKeys"]
