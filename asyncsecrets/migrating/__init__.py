"""Migration: secrets are copied from one source to another, each compared before and after, and none shown.

``migration`` has ``Migration``, the public class, which looks at all names before it writes any. ``names`` says what
they become. ``copying`` is what is done for one of them; ``sides`` are the two sources, and what a value is at each.
Nothing is kept about how far a migration has come: what is equal at both sides is done.
"""

from asyncsecrets.migrating.migration import Migration
from asyncsecrets.migrating.steps import Report, Step

__all__ = ["Migration", "Report", "Step"]
