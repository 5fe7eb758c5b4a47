"""Rotation of ordinary secrets: a new value is made, set at its consumer, and only then what readers get.

``rotation`` has ``rotate``, and ``generators`` what makes values. ``spots`` knows where in a secret the value is.
"""

from asyncsecrets.rotating.generators import Ed25519, Generator, Hex, Password, Rsa, Token, Uuid, public_key
from asyncsecrets.rotating.rotation import PENDING, rotate

__all__ = ["PENDING", "Ed25519", "Generator", "Hex", "Password", "Rsa", "Token", "Uuid", "public_key", "rotate"]
