"""What the names become: by rules, and as far as the manager at the other side can have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from asyncsecrets.errors import ConfigError
from asyncsecrets.migrating.steps import Step

__all__ = ["Rule", "blocked", "crossed", "renamed", "rules_of"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A name that begins with ``head`` and ends with ``tail`` gets others, and keeps what is between. Without
    ``is_open``, there is nothing between."""

    head: str
    tail: str
    new_head: str
    new_tail: str
    is_open: bool

    def applied(self, name: str) -> str | None:
        """What ``name`` becomes, or None where the rule is not about it."""
        middle = name[len(self.head) : len(name) - len(self.tail)]
        fits = len(name) >= len(self.head) + len(self.tail) and name == self.head + middle + self.tail
        return self.new_head + middle + self.new_tail if fits and (self.is_open or not middle) else None


def rules_of(rename: Mapping[str, str]) -> list[Rule]:
    """The rules, in order: ``app/*`` becomes ``prod/app-*``, and a name without ``*`` another one. Raises
    ConfigError."""
    return [_rule(before, after) for before, after in rename.items()]


def _rule(before: str, after: str) -> Rule:
    if not before or not after or before.count("*") > 1 or before.count("*") != after.count("*"):
        raise ConfigError(
            f"{before[:80]!a} cannot become {after[:80]!a}: a rule is a name and another one, or has one * in both "
            f"('app/*': 'prod/app/*')"
        )
    (head, star, tail), (new_head, _, new_tail) = before.partition("*"), after.partition("*")
    return Rule(head, tail, new_head, new_tail, bool(star))


def renamed(name: str, rules: Iterable[Rule]) -> str:
    """What ``name`` becomes by the first rule that is about it; else it stays."""
    return next((new for rule in rules if (new := rule.applied(name)) is not None), name)


def blocked(
    pairs: Mapping[str, str], can_name: Callable[[str], bool], spellings: Callable[[str], Iterable[str]]
) -> list[Step]:
    """The pairs of names that keep a migration from being begun.

    ``spellings`` of two names at the other side that may be of one secret there have one in common.
    """
    invalid = {name for name, to in pairs.items() if not can_name(to)}
    spelled = {name: spellings(to) for name, to in pairs.items() if name not in invalid}
    homes: dict[str, set[str]] = {}
    for name, texts in spelled.items():
        for text in texts:
            homes.setdefault(text, set()).add(name)
    met = {name: set[str]().union(*(homes[text] for text in texts)) - {name} for name, texts in spelled.items()}
    return [
        *(Step(name, pairs[name], "invalid", "the manager cannot have such a name") for name in sorted(invalid)),
        *(Step(name, pairs[name], "collision", f"as {_others(names)}") for name, names in met.items() if names),
    ]


def crossed(pairs: Mapping[str, str]) -> list[Step]:
    """The pairs within one source of which the one would be written over before it is copied itself."""
    return [
        Step(name, to, "collision", f"as {to!r} has, which is to be copied itself: do that first")
        for name, to in pairs.items()
        if to != name and pairs.get(to, to) != to
    ]


def _others(names: Iterable[str]) -> str:
    first, *rest = sorted(names)
    return f"{first!r} and {len(rest)} more" if rest else repr(first)
