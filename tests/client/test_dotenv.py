"""The .env of the working directory concerns only those who ask the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asyncsecrets import SecretsClient, get_secret, reset_default
from asyncsecrets.errors import AsyncSecretsError, SecretNotFoundError
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.providers.pipes import read_pipe


def bare_name(path: Path) -> None:
    path.write_text("FILE=canary-file\nPASSED_THROUGH\n")


def other_encoding(path: Path) -> None:
    path.write_bytes("A=canary".encode("utf-16"))


def open_to_all(path: Path) -> None:
    path.write_text("FILE=canary-file\n")
    path.chmod(0o666)


ODD = {
    "bare name": bare_name,
    "other encoding": other_encoding,
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "of everybody": open_to_all,
    "too large": lambda path: path.write_bytes(b"#" * 2_000_000),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In an empty folder, where nobody waits long for a pipe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(read_pipe.__kwdefaults__, "within", 0.05)
    monkeypatch.setenv("IN_PROCESS", "canary-process")


@pytest.mark.parametrize("odd", ODD)
async def test_who_does_not_ask_never_hears_of_it(odd: str, caplog: pytest.LogCaptureFixture):
    """Neither a manager with hosted_keys, nor one that has what is asked for, nor the process environment."""
    ODD[odd](Path(".env"))
    memory = MemoryProvider({"X": "canary-x"})
    async with SecretsClient.from_provider(memory, hosted_keys=["X"]) as client:
        assert (await client.get("X")).equals("canary-x")
        assert (await client.get("IN_PROCESS")).equals("canary-process")
    async with SecretsClient.from_provider(memory) as client:
        assert (await client.get("X")).equals("canary-x")
        assert (await client.get("IN_PROCESS", source="environment")).equals("canary-process")
    await reset_default()
    assert await get_secret("IN_PROCESS") == "canary-process"
    await reset_default()
    assert [record for record in caplog.records if record.name == "asyncsecrets.config"] == []


@pytest.mark.parametrize("odd", ODD)
async def test_who_misses_a_name_is_told(odd: str):
    """The environment stands in and does not have it: what of the file was not used may be why."""
    ODD[odd](Path(".env"))
    primary = {"key_management_system": "memory", "key_management_settings": {"primary_secret_name": "all"}}
    primary["key_management_settings"]["secrets"] = {"all": '{"A": "canary"}'}
    for client in (
        SecretsClient.from_provider(MemoryProvider({})),
        SecretsClient.from_provider(MemoryProvider({}), hosted_keys=[]),
        SecretsClient.from_config({"general_settings": primary}),
    ):
        async with client:
            with pytest.raises(AsyncSecretsError, match=r"\.env") as caught:
                await client.get("NONE")
            assert isinstance(caught.value, SecretNotFoundError) is (
                odd != "of everybody" or client._sources["default"].primary_secret_name == "all"
            )
            assert ("the rest is used" in str(caught.value)) is (odd == "bare name")
            if odd == "bare name":
                assert (await client.get("FILE")).equals("canary-file")


async def test_who_misses_a_name_is_told_that_a_named_file_is_not_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """It need not be there, and where the name of it is misspelt nobody has to guess."""
    (tmp_path / "config.yaml").write_text("asyncsecrets: {env_file: conf/its.env}\n")
    async with SecretsClient.from_config(tmp_path / "config.yaml") as client:
        assert (await client.get("IN_PROCESS")).equals("canary-process")
        with pytest.raises(SecretNotFoundError, match=r"its\.env is not there"):
            await client.get("FILE")
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "its.env").write_text("FILE=canary-file\n")
        assert (await client.refresh("FILE")).equals("canary-file")
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"{tmp_path / 'conf' / 'its.env'} is not there"]
