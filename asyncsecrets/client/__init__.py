"""SecretsClient: routes names to sources, reads and writes, opens and closes.

``client`` is the public class: made, opened and closed. What it does is in ``reading``, ``writing`` and ``looking``;
what these stand on, in ``parts``. ``routing`` has the rules of where a name is asked; ``sources`` makes what is
configured; ``source`` is a provider with its freshness, made of ``connection`` (open and closed), ``home`` (on which
event loop), ``views`` and ``hot`` (what is warm), ``calls`` (of the provider), ``tasks`` (what is under way), ``gate``
(how much of that) and ``batching``.

What is written goes from ``writing`` to ``puts`` (a put or a delete) or ``patches``. ``swaps`` decides what became of a
compare-and-set, ``outcomes`` is for all whose outcome is unknown, and ``effects`` is what a change does to the cache:
``kin`` finds the other keys of its secret.
"""

from asyncsecrets.client.client import SecretsClient
from asyncsecrets.client.status import Explanation, Health, SecretStatus, SourceStatus

__all__ = ["Explanation", "Health", "SecretStatus", "SecretsClient", "SourceStatus"]
