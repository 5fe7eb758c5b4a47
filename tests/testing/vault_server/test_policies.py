"""Policies: what a text says, and what several of them allow together."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.testing.vault_server.policies import CAPABILITIES, Acl, PolicyError, Rule, parse_policy


def acl(*rules: tuple[str, str]) -> Acl:
    return Acl(Rule(pattern, frozenset(words.split())) for pattern, words in rules)


def test_both_notations_say_the_same() -> None:
    """HCL with comments and trailing commas, and JSON, parse to equal rules."""
    hcl = '# c\n// d\n/* e\n */ path "a/*" {\n  capabilities = ["read", "list",]\n}\npath "b" { policy = "read" }'
    document = {"path": {"a/*": {"capabilities": ["read", "list"]}, "b": {"policy": "read"}}}
    assert parse_policy(hcl) == parse_policy(json.dumps(document))
    assert parse_policy(hcl)[0] == Rule("a/*", frozenset({"read", "list"}))


@pytest.mark.parametrize(
    "text",
    [
        'path "a" {',
        'path "a" { capabilities = ["fly"] }',
        'path "a" { capabilities = "read" }',
        'path a { capabilities = ["read"] }',
        'path "a/+*" { capabilities = ["read"] }',
        "nonsense",
        '{"path": []}',
        "{",
    ],
)
def test_a_bad_text_is_refused(text: str) -> None:
    """What cannot be parsed, and what names an unknown capability, is no policy."""
    with pytest.raises(PolicyError):
        parse_policy(text)


@pytest.mark.parametrize("key", ["allowed_parameters", "denied_parameters", "required_parameters", "min_wrapping_ttl"])
def test_a_restriction_that_cannot_be_enforced_is_refused(key: str) -> None:
    """The fake must not be laxer than the real server without saying so."""
    with pytest.raises(PolicyError, match="cannot enforce"):
        parse_policy(f'path "a" {{ capabilities = ["read"]\n {key} = {{ "x" = [] }} }}')


@given(st.text(alphabet=st.sampled_from('path "{}[]=,\n\\capabilitiesread#/*+'), max_size=80))
def test_any_text_is_a_policy_or_an_error(text: str) -> None:
    """No input makes the parser fail in any other way."""
    with contextlib.suppress(PolicyError):
        for rule in parse_policy(text):
            assert rule.capabilities <= CAPABILITIES


def test_deny_wins() -> None:
    """A deny in one policy takes away what another grants for the same pattern."""
    assert not acl(("a/*", "read"), ("a/*", "deny")).allows("a/x", "read")


def test_the_more_exact_pattern_decides() -> None:
    """An exact path beats a longer glob, a longer glob a shorter one, and a glob a segment wildcard before it."""
    rules = acl(("a/*", "read"), ("a/b/*", "update"), ("a/b/c", "deny"), ("+/b/d", "delete"))
    assert [rules.capabilities(path) for path in ("a/x", "a/b/x", "a/b/c", "a/b/d", "z/b/d", "z")] == [
        {"read"},
        {"update"},
        {"deny"},
        {"update"},
        {"delete"},
        {"deny"},
    ]


def test_a_plus_is_one_segment() -> None:
    """It matches neither two segments nor none."""
    rules = acl(("a/+/c", "read"))
    assert [rules.allows(path, "read") for path in ("a/b/c", "a/b/b/c", "a/c", "a//c")] == [True, False, False, False]


def test_a_list_may_be_granted_with_or_without_its_slash() -> None:
    """``LIST a`` arrives as ``a/``."""
    assert acl(("a", "list")).allows("a/", "list")
    assert acl(("a/", "list")).allows("a/", "list")
    assert not acl(("a", "read")).allows("a/", "read")


def test_a_mount_is_visible_through_anything_granted_below_it() -> None:
    """Which is how the KV version of a mount can be asked for."""
    rules = acl(("secret/data/team/*", "read"), ("+/x", "list"), ("kv/*", "deny"))
    assert [rules.touches(mount) for mount in ("secret/", "kv/", "other/", "secre/")] == [True, True, True, True]
    assert [acl(("secret/data/a", "read")).touches(mount) for mount in ("secret/", "kv/")] == [True, False]
