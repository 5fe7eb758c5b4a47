"""SecretsClient: routes names to sources, reads and writes, opens and closes.

``client`` is the public class. ``routing`` has the rules of where a name is asked; ``sources`` makes what is
configured; ``source`` is a provider with its freshness, made of ``connection`` (open and closed), ``home`` (on which
event loop), ``views`` and ``hot`` (what is warm), ``calls`` (of the provider), ``operations`` (what is under way),
``gate`` (how much of that) and ``batching``. ``bulk``, ``writes``, ``watching``, ``status``: as they say.
"""

from asyncsecrets.client.client import SecretsClient
from asyncsecrets.client.status import Explanation, Health, SecretStatus, SourceStatus

__all__ = ["Explanation", "Health", "SecretStatus", "SecretsClient", "SourceStatus"]
