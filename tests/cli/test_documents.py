"""Replacing references in place: whatever the document looks like, only they change."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.cli.documents import JsonDocument, YamlDocument, read_document
from asyncsecrets.errors import ConfigError
from asyncsecrets.yaml import load_strings

VALUES = {"os.environ/A": "canary: 'a' \"b\" #c\n\x07\ud7ff\ufeff\u2028\U0001f511", "secret://s/n?field=f": "yes"}


def read_yaml(text: str) -> YamlDocument:
    """Read ``text`` as a YAML document."""
    document = read_document(text.encode(), "test.yaml")
    assert isinstance(document, YamlDocument)
    return document


def test_layout_and_comments_stay() -> None:
    """Everything but the references is the text that it was."""
    text = "# top\na:   os.environ/A   # tail\nb: [x, 'os.environ/A', {c: \"secret://s/n?field=f\"}]\n\nd: |\n  x\n"
    replaced = read_yaml(text).as_text({"os.environ/A": "canary", "secret://s/n?field=f": "2"})
    assert replaced == '# top\na:   "canary"   # tail\nb: [x, "canary", {c: "2"}]\n\nd: |\n  x\n'


@pytest.mark.parametrize(
    "text",
    [
        "a: &x os.environ/A\nb: *x\n",
        "a: &x # why\n  # more\n  os.environ/A\nb: *x\n",
        "os.environ/A",
        "- - os.environ/A\n  - {k: os.environ/A}\n",
        "? k\n: os.environ/A\n",
        'a: "os.environ\\x2FA"\n',
        "a: 'os.environ/A'\nos.environ/A: b\n",
        "a: >-\n  os.environ/A\nb: 1\n",
        "a:\n    os.environ/A\nb: |-\n  os.environ/A\n",
        "\ufeffa: os.environ/A\n",
        "---\na: os.environ/A\n...\n",
        'ü: "\U0001f511"\nb: os.environ/A\r\nc: secret://s/n?field=f\r\n',
    ],
)
def test_ways_to_write_a_reference(text: str) -> None:
    """However a reference is written, the result reads as the document with its value."""
    document = read_yaml(text)
    replaced = document.as_text(VALUES)
    expected = load_strings(text, origin="x", own={})
    found = load_strings(replaced, origin="x", own={})
    assert json.dumps(found) == json.dumps(expected).replace(
        '"os.environ/A"', json.dumps(VALUES["os.environ/A"])
    ).replace('"secret://s/n?field=f"', '"yes"').replace(
        json.dumps(VALUES["os.environ/A"]) + ': "b"', '"os.environ/A": "b"'
    )


@pytest.mark.parametrize(
    ("text", "replaced", "data"),
    [
        (
            "x: &x {p: os.environ/A, q: 1}\nb: {<<: *x, q: 2}\n",
            'x: &x {p: "canary", q: 1}\nb: {<<: *x, q: 2}\n',
            {"x": {"p": "canary", "q": 1}, "b": {"p": "canary", "q": 2}},
        ),
        (
            "x: &x {p: os.environ/A}\ny: &y {p: z, r: s}\nb: {<<: [*x, *y]}\n",
            'x: &x {p: "canary"}\ny: &y {p: z, r: s}\nb: {<<: [*x, *y]}\n',
            {"x": {"p": "canary"}, "y": {"p": "z", "r": "s"}, "b": {"p": "canary", "r": "s"}},
        ),
        (
            "b: {p: os.environ/A, <<: {p: 1, q: 2}}",
            'b: {p: "canary", <<: {p: 1, q: 2}}',
            {"b": {"p": "canary", "q": 2}},
        ),
        ("a: 1\na: os.environ/A\n", 'a: 1\na: "canary"\n', {"a": "canary"}),
        ("a: os.environ/NONE\na: os.environ/A\n", 'a: os.environ/NONE\na: "canary"\n', {"a": "canary"}),
        ("a: !env os.environ/A # why\n", 'a: !env "canary" # why\n', {"a": "canary"}),
        ("a: &x !!str\n  os.environ/A\nb: *x\n", 'a: &x !!str\n  "canary"\nb: *x\n', {"a": "canary", "b": "canary"}),
        ("a: [!!str 1.10, !x , 1.5, ~]\n", "a: [!!str 1.10, !x , 1.5, ~]\n", {"a": ["1.10", "", 1.5, None]}),
        ("m: !map {'<<': 1, k: os.environ/A}\n", "m: !map {'<<': 1, k: \"canary\"}\n", {"m": {"<<": 1, "k": "canary"}}),
    ],
)
def test_documents_of_other_programs(text: str, replaced: str, data: Any) -> None:
    """Docker Compose's merge keys and a tag of somebody's loader stay as they are; as JSON they are followed."""
    document = read_yaml(text)
    assert document.as_text({"os.environ/A": "canary"}) == replaced
    assert document.as_data({"os.environ/A": "canary"}) == data


@pytest.mark.parametrize("text", ["a: &x canary\nb: &x 2\n", "a: &a [*a]\n", "a: {<<: canary}\n", "a: 1\n---\nb: 2\n"])
def test_documents_that_nobody_reads(text: str) -> None:
    """An error that quotes nothing."""
    with pytest.raises(ConfigError) as error:
        read_yaml(text)
    assert "canary" not in str(error.value)
    assert error.value.__context__ is None


def test_what_is_also_a_manager_s_setting_is_not_replaced_in_place() -> None:
    """An anchor leads from the section that is left alone to one that is not: the text cannot be both."""
    text = "x: &x {token: os.environ/A}\nasyncsecrets: *x\n"
    with pytest.raises(ConfigError, match="--format json"):
        read_yaml(text).as_text({"os.environ/A": "canary"})
    data = read_yaml(text).as_data({"os.environ/A": "canary"})
    assert data == {"x": {"token": "canary"}, "asyncsecrets": {"token": "os.environ/A"}}


def test_bootstrap_sections_are_left_alone() -> None:
    """What leads to a manager comes from the environment, and is not resolved into a file."""
    text = (
        "general_settings: {key_management_settings: {token: os.environ/T}}\nasyncsecrets: {env_file: os.environ/E}\n"
    )
    assert read_yaml(text).references == []
    assert read_yaml(text).as_text({}) == text


def test_as_data_keeps_what_yaml_and_json_agree_on() -> None:
    """Plain numbers, booleans and null are such; what only YAML 1.1 thinks is a number or boolean stays text."""
    text = 'n: 8080\nf: -1.5e3\nt: true\nz: null\ne:\ns: "8080"\nno: no\no: 0123\nx: 0x1F\ni: 1e999\n'
    text += "d: 2020-01-01\nr: os.environ/A\n"
    data = read_yaml(text).as_data({"os.environ/A": "123"})
    assert data == {
        "n": 8080,
        "f": -1500.0,
        "t": True,
        "z": None,
        "e": None,
        "s": "8080",
        "no": "no",
        "o": "0123",
        "x": "0x1F",
        "i": "1e999",
        "d": "2020-01-01",
        "r": "123",
    }


def test_json_files() -> None:
    """JSON stays JSON, its numbers numbers."""
    document = read_document(b'{"a": 1, "b": ["os.environ/A", 1.5, null]}', "x.json")
    assert isinstance(document, JsonDocument)
    assert json.loads(document.as_text({"os.environ/A": "canary"})) == {"a": 1, "b": ["canary", 1.5, None]}


@pytest.mark.parametrize("data", [b'{"canary": ', b'{"canary": NaN}', b"[" * 100_000, b"\xff"])
def test_json_that_is_none(data: bytes) -> None:
    """The error names the file and quotes nothing."""
    with pytest.raises(ConfigError) as error:
        read_document(data, "x.json")
    assert "x.json" in str(error.value)
    assert "canary" not in str(error.value)
    assert error.value.__context__ is None


SCALARS = st.one_of(
    st.sampled_from(["os.environ/A", "secret://s/n?field=f", "os.environ", "no", "1", ""]),
    st.text(st.characters(codec="utf-8", exclude_characters="\x85"), max_size=8),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda child: st.one_of(
        st.lists(child, max_size=4), st.dictionaries(st.text("abkü", max_size=3), child, max_size=4)
    ),
    max_leaves=12,
)


@given(document=DOCUMENTS, flow=st.booleans(), value=st.text(st.characters(codec="utf-8"), max_size=12))
def test_any_document_reads_back_with_the_values(document: Any, flow: bool, value: str) -> None:
    """Replacing in the text is the same as replacing in the data, for any document and any value."""
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True, width=20)
    try:
        loaded = load_strings(text, origin="x", own={})
    except ConfigError:  # a control character, which our loader refuses
        return
    values = {"os.environ/A": value, "secret://s/n?field=f": "2"}
    found = load_strings(read_yaml(text).as_text(values), origin="x", own={})
    assert found == _replaced(loaded, values)


def _replaced(node: Any, values: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(child, values) for key, child in node.items()}
    if isinstance(node, list):
        return [_replaced(child, values) for child in node]
    return values.get(node, node)
