"""include: files are put together as LiteLLM does it, each is judged, and nothing of ours is lost on the way."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets.config import Config, load_config
from asyncsecrets.documents import references
from asyncsecrets.errors import ConfigError
from asyncsecrets.included import MAX_FILES, OWN, read_merged
from asyncsecrets.yaml import MAX_BYTES, load_strings

VAULT = (
    "general_settings:\n  key_management_system: hashicorp_vault\n"
    "  key_management_settings: {addr: https://v, hosted_keys: [A]}\n"
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files below a folder; return the first one's path."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text)
        return tmp_path / next(iter(files)).replace("__", "/").replace("_", ".")

    return write


def refused(path: Path, *, found: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.from_environment({}, path.parent) if found else load_config(path, {})
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)
    return str(caught.value)


def test_the_manager_may_be_in_an_included_file(write: Write):
    """Its names are asked of it, and the references of both files are known."""
    path = write(
        config_yaml="include: [secrets.yaml]\nmodel_list: [{api_key: os.environ/A}]",
        secrets_yaml=f"{VAULT}model_list: [{{api_key: os.environ/B}}]",
    )
    loaded = load_config(path, {})
    assert loaded.sources["default"].system == "hashicorp_vault"
    assert loaded.sources["default"].hosted_keys == {"A"}
    assert tuple(references(loaded.document.reveal())) == (
        (("model_list", 0, "api_key"), "os.environ/A"),
        (("model_list", 1, "api_key"), "os.environ/B"),
    )
    assert loaded.origin == str(path)
    assert Config.from_environment({}, path.parent) == loaded


def test_files_are_relative_to_the_one_that_names_them(write: Write, caplog: pytest.LogCaptureFixture):
    """Or, as it once was, to the first one of all, which is told; an absolute path is itself."""
    path = write(
        config_yaml="include: [a/one.yaml]\nl: [0]",
        a__one_yaml="include: [two.yaml, three.yaml]\nl: [1]",
        a__two_yaml="l: [2]",
        two_yaml="l: [no]",
        three_yaml="l: [3]\ninclude: [ROOT/a/two.yaml, a/four.yaml]",
        a__four_yaml="l: [4]",
    )
    (path.parent / "three.yaml").write_text((path.parent / "three.yaml").read_text().replace("ROOT", str(path.parent)))
    assert read_merged(path).document == {"l": ["0", "1", "2", "3", "4"]}
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asyncsecrets.config", logging.WARNING)
    assert "three.yaml is not beside it" in record.getMessage()


def test_a_file_is_taken_in_once(write: Write):
    """Two files may include the same third one."""
    path = write(
        config_yaml="include: [a.yaml, b.yaml, a.yaml]",
        a_yaml="include: [c.yaml]",
        b_yaml="include: [c.yaml]",
        c_yaml="l: [1]",
    )
    assert read_merged(path).document == {"l": ["1"]}


@pytest.mark.parametrize(
    "files",
    [
        {"config_yaml": "include: [config.yaml]"},
        {"config_yaml": "include: [a.yaml]", "a_yaml": "include: [b.yaml]", "b_yaml": "include: [a.yaml]"},
        {"config_yaml": "include: [a.yaml, b.yaml]", "a_yaml": "include: [b.yaml]", "b_yaml": "include: [a.yaml]"},
        {"config_yaml": "include: [a/x.yaml]", "a__x_yaml": "include: [../config.yaml]"},
    ],
)
def test_a_circle_is_an_error(write: Write, files: dict[str, str]):
    """By whatever way, and a link is what it leads to."""
    assert "a file cannot include itself" in refused(write(**files))
    path = write(config_yaml="include: [link.yaml]")
    (path.parent / "link.yaml").symlink_to("config.yaml")
    assert "a file cannot include itself" in refused(path)


@pytest.mark.parametrize(
    ("included", "problem"),
    [
        ("", "included.yaml: the document is empty"),
        ("[canary]", "included.yaml: the document must be a mapping"),
        ("asyncsecrets: {a: canary, a: canary}", "included.yaml, line 1, column 27: a key that"),
        (
            "general_settings: {key_management_system: vaultt}",
            "included.yaml: general_settings.key_management_system: no",
        ),
        ("general_setting: {}", "has 'general_setting'; did you mean"),
        (
            "general_settings: {key_management_system: local, key_management_settings: {x: canary}}",
            "included.yaml: general_",
        ),
        ("include: no", "included.yaml: include must be a list of files"),
        ("include: [gone.yaml]", "included.yaml: includes 'gone.yaml', and there is no file"),
        ("x: 'canary", "included.yaml, line 1"),
    ],
)
@pytest.mark.parametrize("found", [False, True])
def test_what_is_wrong_in_an_included_file(write: Write, included: str, problem: str, found: bool):
    """It is said of that file, and nothing leads to the environment instead."""
    assert problem in refused(write(config_yaml="include: [included.yaml]", included_yaml=included), found=found)


def test_nothing_of_ours_is_replaced_in_silence(write: Write, caplog: pytest.LogCaptureFixture):
    """LiteLLM replaces a section as a whole: without its manager, or with another section of ours, that is an error."""
    path = write(config_yaml=f"{VAULT}include: [a.yaml]", a_yaml="general_settings: {master_key: canary}")
    assert "takes the place of that in" in refused(path)
    assert "its key_management_system would be lost" in refused(path)
    path = write(config_yaml="asyncsecrets: {}\ninclude: [a.yaml]", a_yaml="asyncsecrets: {}")
    assert "the section would be lost" in refused(path)
    assert caplog.records == []
    path = write(config_yaml=f"{VAULT}include: [a.yaml]", a_yaml="general_settings: {key_management_system: local}")
    assert load_config(path, {}).sources["default"].system == "local"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{path.parent / 'a.yaml'}: general_settings takes the place of that in {path}, which includes it"
    ]


def test_each_file_is_judged(write: Write):
    """Of a file that was found; whoever can write one that it includes could write the configuration."""
    path = write(config_yaml="include: [sub/a.yaml]", sub__a_yaml=VAULT)
    assert Config.from_environment({}, path.parent).sources["default"].system == "hashicorp_vault"
    for place in (path.parent / "sub" / "a.yaml", path.parent / "sub"):
        mode = place.stat().st_mode
        place.chmod(0o777)
        assert "a.yaml: nobody named this file, and others can write it" in refused(path, found=True)
        load_config(path, {})
        place.chmod(mode)
    path.chmod(0o666)
    assert "config.yaml: nobody named this file" in refused(path, found=True)


def test_a_found_file_gives_an_included_one_no_more(write: Write):
    """The rules of variables and files hold for all of it."""
    token = "general_settings: {key_management_system: hashicorp_vault, key_management_settings: {token: os.environ/X}}"
    path = write(config_yaml="include: [a.yaml]", a_yaml=token)
    assert "token may not have the variable 'X'" in refused(path, found=True)


def test_paths_are_relative_to_the_file_that_they_stand_in(write: Write):
    """Each of them, in whichever file; what the environment says is not the file's."""
    local = "{key_management_system: local, key_management_settings: {local_file: s.yaml, local_key_file: /k}}"
    vault = "{addr: https://v, token_file: ./t, ca_cert: ../ca.pem, client_key: os.environ/KEY, client_cert: ~/c}"
    path = write(
        config_yaml=f"include: [sub/a.yaml]\nasyncsecrets: {{env_file: its.env, sources: {{l: {local}}}}}",
        sub__a_yaml=f"general_settings: {{key_management_system: hashicorp_vault, key_management_settings: {vault}}}",
    )
    loaded = load_config(path, {"KEY": "key.pem"})
    here = path.parent
    assert loaded.env_file == here / "its.env"
    assert loaded.sources["l"].settings == {"local_file": f"{here}/s.yaml", "local_key_file": "/k"}
    assert loaded.sources["default"].settings == {
        "addr": "https://v",
        "token_file": f"{here}/sub/t",
        "ca_cert": f"{here}/sub/../ca.pem",
        "client_key": "key.pem",
        "client_cert": "~/c",
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("token", "HERE/token"),
        ("a/b.c.d", "HERE/a/b.c.d"),
        ("oidc/file/t", "oidc/file/HERE/t"),
        ("oidc/file//t", "oidc/file//t"),
        ("oidc/env/AWS_X", "oidc/env/AWS_X"),
        ("eyJ.eyJ.sig", "eyJ.eyJ.sig"),
    ],
)
def test_a_token_may_be_a_file(write: Write, written: str, read: str):
    """A token itself is no path."""
    settings = f"{{aws_web_identity_token: {written}}}"
    path = write(
        config_yaml=f"general_settings: {{key_management_system: aws_kms, key_management_settings: {settings}}}"
    )
    found = load_config(path, {}).sources["default"].settings["aws_web_identity_token"]
    assert found == read.replace("HERE", str(path.parent))


def test_a_local_store_is_beside_the_file(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Where none is named: wherever the program is started, it is the same one."""
    (tmp_path / "elsewhere").mkdir()
    path = write(config_yaml="general_settings: {key_management_system: local}", secrets_yaml="")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_config(path, {}).sources["default"].settings == {"local_file": str(tmp_path / "secrets.yaml")}
    assert load_config(path, {"ASYNCSECRETS_FILE": "x"}).sources["default"].settings == {}
    monkeypatch.chdir(tmp_path)
    assert load_config(path, {}).sources["default"].settings == {}


def test_a_mapping_has_no_files():
    """Nobody can say what its files are relative to."""
    with pytest.raises(ConfigError, match="include needs the path of a file"):
        load_config({"include": ["a.yaml"]}, {})


def test_what_is_read_is_bounded(write: Write):
    """In files and in bytes; a pipe in place of an included file is not waited for."""
    names = [f"f{n}.yaml" for n in range(MAX_FILES)]
    path = write(config_yaml=json.dumps({"include": names}))
    for name in names:
        (path.parent / name).write_text("l: [1]")
    assert f"more than {MAX_FILES} files" in refused(path)
    for name in names[:5]:
        (path.parent / name).write_text("l: [" + "x" * (MAX_BYTES - 10) + "]")
    path.write_text(json.dumps({"include": names[:5]}))
    assert "more than 4194304 bytes" in refused(path)
    path.write_text("include: [pipe]")
    os.mkfifo(path.parent / "pipe")
    assert "pipe: cannot be read: it is not a regular file" in refused(path)


def test_a_named_file_may_be_a_pipe(write: Write):
    """``--config <(...)``, which is read once."""
    read, end = os.pipe()
    os.write(end, b"environment_variables: {A: canary}\nx: os.environ/A")
    os.close(end)
    loaded = load_config(f"/dev/fd/{read}", {})
    os.close(read)
    assert loaded.given["A"] == "canary"
    assert tuple(references(loaded.document.reveal())) == ((("x",), "os.environ/A"),)


NAMES = st.sampled_from(["a.yaml", "b.yaml", "c.yaml", "sub/a.yaml", "../a.yaml", "config.yaml", "none.yaml"])
SECTIONS: Any = st.fixed_dictionaries(
    {},
    optional={
        "include": st.lists(NAMES, max_size=3) | st.sampled_from(["a.yaml", None, {}]),
        "general_settings": st.sampled_from([{}, {"key_management_system": "local"}, {"k": "v"}, []]),
        "asyncsecrets": st.just({}),
        "model_list": st.lists(st.text("ab", max_size=1), max_size=2) | st.just({"a": "b"}),
    },
)


@settings(max_examples=150, deadline=2000)
@given(files=st.dictionaries(st.sampled_from(["a.yaml", "b.yaml", "c.yaml", "sub/a.yaml"]), SECTIONS), main=SECTIONS)
def test_fuzz_files_that_include_one_another(tmp_path_factory: pytest.TempPathFactory, files: Any, main: Any):
    """It ends, in one document that has all that is ours, or a ConfigError."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "sub").mkdir()
    for name, document in {**files, "config.yaml": main}.items():
        (folder / name).write_text(json.dumps(document))
    for found in (False, True):
        try:
            loaded = Config.from_environment({}, folder) if found else load_config(folder / "config.yaml", {})
        except ConfigError as error:
            assert error.__context__ is None  # noqa: PT017 - being accepted is fine too
            continue
        assert "default" in loaded.sources
        if main.get("general_settings") == {"key_management_system": "local"}:
            assert loaded.sources["default"].system == "local"


def test_own_parts_are_what_the_sections_read():
    """What is strict is what is obeyed."""
    text = "general_settings: {a: 1, a: 2, key_management_system: local}\nx: {<<: {b: c}}"
    assert load_strings(text, origin="x", own=OWN)["general_settings"]["a"] == "2"


@pytest.mark.parametrize("section", ["genral_settings: {master_key: x}", "key_management_system: env"])
def test_a_section_is_told_of_the_file_that_it_is_in(write: Write, section: str):
    """Not of the one that includes that."""
    path = write(config_yaml="include: [more.yaml]", more_yaml=section)
    assert refused(path).startswith(f"{path.parent / 'more.yaml'}: the document has ")


def test_an_included_file_of_another_has_one_remedy(write: Write):
    """To name the file that includes it, said once."""
    path = write(config_yaml="include: [more.yaml]", more_yaml=VAULT)
    (path.parent / "more.yaml").chmod(0o666)
    assert refused(path, found=True).count("--config") == 1
