"""Rotation of ordinary secrets: a new value is made, set at its consumer, and only then what readers get.

``rotation`` has ``rotate``, and ``generators`` what makes values. ``spots`` knows where in a secret the value is, and
``stages`` where the new one is kept until then.
"""

from asyncsecrets.rotating.generators import Ed25519, Generator, Hex, Password, Rsa, Token, Uuid, public_key
from asyncsecrets.rotating.rotation import rotate
from asyncsecrets.rotating.stages import PENDING

__all__ = ["PENDING", "Ed25519", "Generator", "Hex", "Password", "Rsa", "Token", "Uuid", "public_key", "rotate"]
