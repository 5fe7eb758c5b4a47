"""SecretsClient: routes names to sources, reads and writes, opens and closes.

``client`` is the public class, ``routing`` the rules of where a name is asked, ``source`` a provider with its
freshness, ``hot`` what is warm, ``writes``, ``batching``, ``watching`` and ``status`` what their names say.
"""

from asyncsecrets.client.client import SecretsClient
from asyncsecrets.client.status import Explanation, Health, SecretStatus, SourceStatus

__all__ = ["Explanation", "Health", "SecretStatus", "SecretsClient", "SourceStatus"]
