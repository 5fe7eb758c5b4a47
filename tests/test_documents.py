"""References inside a document: where they are found, and what is put in their place."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.config import references, replace_references
from asyncsecrets.documents import MAX_DEPTH
from asyncsecrets.errors import ConfigError

DOCUMENT = {
    "model_list": [
        {"model": "azure/x", "api_key": "os.environ/AZURE-API-KEY", "note": "see os.environ/X", "os.environ/KEY": 1},
        {"api_key": "secret://vault/a?field=b", "n": 3, "on": True, "none": None, "t": {"os.environ/NOT"}},
    ],
    "master_key": "os.environ/AZURE-API-KEY",
    "broken": "secret://",
}
VALUES = {
    "os.environ/AZURE-API-KEY": "canary-1",
    "secret://vault/a?field=b": "os.environ/OTHER",
    "secret://": "canary-3",
}


def test_references_are_found_in_order_with_their_paths():
    """A reference is a whole scalar; keys, text around it and other types are left alone."""
    assert list(references(DOCUMENT)) == [
        (("model_list", 0, "api_key"), "os.environ/AZURE-API-KEY"),
        (("model_list", 1, "api_key"), "secret://vault/a?field=b"),
        (("master_key",), "os.environ/AZURE-API-KEY"),
        (("broken",), "secret://"),
    ]


def test_replacing_gives_a_copy_with_values_as_they_are():
    """The document handed in is not touched, and a value that looks like a reference stays that value."""
    before = copy.deepcopy(DOCUMENT)
    replaced = replace_references(DOCUMENT, VALUES)
    assert before == DOCUMENT
    assert replaced == {
        "model_list": [
            {"model": "azure/x", "api_key": "canary-1", "note": "see os.environ/X", "os.environ/KEY": 1},
            {"api_key": "os.environ/OTHER", "n": 3, "on": True, "none": None, "t": {"os.environ/NOT"}},
        ],
        "master_key": "canary-1",
        "broken": "canary-3",
    }
    assert replaced["model_list"] is not DOCUMENT["model_list"]


class Pair(NamedTuple):
    """A named tuple, such as a program's own settings are."""

    user: str
    password: str


def test_tuples_are_gone_through():
    """They stay tuples, named ones what they are."""
    document = {"t": ("x", "os.environ/X", ["os.environ/X"]), "pair": Pair("u", "os.environ/X"), "none": ()}
    assert [path for path, _ in references(document)] == [("t", 1), ("t", 2, 0), ("pair", 1)]
    replaced = replace_references(document, {"os.environ/X": "canary"})
    assert replaced == {"t": ("x", "canary", ["canary"]), "pair": Pair("u", "canary"), "none": ()}
    assert isinstance(replaced["pair"], Pair)


@pytest.mark.parametrize("scalar", ["os.environ/X", 3, None, "text"])
def test_a_document_may_be_one_scalar(scalar: Any):
    """The smallest document is one value."""
    found = [text for _, text in references(scalar)]
    assert found == (["os.environ/X"] if scalar == "os.environ/X" else [])
    assert replace_references(scalar, {"os.environ/X": "canary"}) == ("canary" if found else scalar)


def test_a_reference_without_a_value_is_a_key_error():
    """Replacing is all or nothing."""
    with pytest.raises(KeyError):
        replace_references(["os.environ/X"], {})


def test_depth_is_capped_and_recursion_is_refused():
    """A document as deep as permitted is walked; one more level, or one without end, is a ConfigError."""
    deep: Any = "os.environ/X"
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert [text for _, text in references(deep)] == ["os.environ/X"]
    recursive: list[Any] = []
    recursive.append(recursive)
    for document in ([deep], recursive):
        with pytest.raises(ConfigError, match="nested more than"):
            list(references(document))
        with pytest.raises(ConfigError, match="nested more than"):
            replace_references(document, {"os.environ/X": "canary"})


TEXTS = st.sampled_from(["os.environ/A", "secret://s/B", "secret://", "text", "", " os.environ/A"])
DOCUMENTS = st.recursive(
    TEXTS | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


@given(document=DOCUMENTS)
def test_replacing_each_reference_by_itself_changes_nothing(document: Any):
    """What is found is exactly what is replaced."""
    found = [text for _, text in references(document)]
    assert replace_references(document, {text: text for text in found}) == document
    assert list(references(replace_references(document, dict.fromkeys(found, "canary")))) == []


def test_references_that_lead_to_a_manager_are_left_alone():
    """What a manager needs for itself is not asked of a manager: neither found nor replaced."""
    document = {
        "general_settings": {
            "master_key": "os.environ/MASTER",
            "key_management_settings": {"token": "os.environ/TOKEN", "hosted_keys": ["os.environ/MASTER"]},
        },
        "asyncsecrets": {"sources": {"team": {"key_management_settings": {"token": "os.environ/TEAM_TOKEN"}}}},
        "model_list": [{"asyncsecrets": "os.environ/DEEPER"}],
    }
    assert [text for _, text in references(document)] == ["os.environ/MASTER", "os.environ/DEEPER"]
    replaced = replace_references(document, {"os.environ/MASTER": "canary-1", "os.environ/DEEPER": "canary-2"})
    assert (
        replaced["general_settings"]["key_management_settings"]
        == document["general_settings"]["key_management_settings"]
    )
    assert replaced["asyncsecrets"] == document["asyncsecrets"]
    assert replaced["general_settings"]["master_key"] == "canary-1"
    assert replaced["model_list"] == [{"asyncsecrets": "canary-2"}]
