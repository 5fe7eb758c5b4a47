"""EnvironmentProvider: the conformance suite, precedence, and the life of the .env file."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping

import pytest

from asyncsecrets.errors import (
    ClosedError,
    ConfigError,
    InvalidNameError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import Lister, Provider, Writer
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.secret import Payload
from asyncsecrets.testing.conformance import FAULTS, UNUSUAL_NAMES, ProviderHarness, ReaderConformance


class EnvironmentHarness(ProviderHarness):
    """Seeds through the mapping that stands for the process environment."""

    unsupported: Mapping[str, str] = {
        **dict.fromkeys(FAULTS, "the environment has no wire that could fail"),
        "nul": "a variable cannot hold a NUL",
        "binary": "seeded through os.environb in a test of its own",
    }
    accepts = set(UNUSUAL_NAMES) - {"signs"}  # which have a =

    def __init__(self) -> None:
        self.environ: dict[str, str] = {}
        self.provider = EnvironmentProvider(self.environ)

    async def seed(self, name: str, value: Payload) -> None:
        assert isinstance(value, str)
        self.environ[name] = value

    async def remove(self, name: str) -> None:
        del self.environ[name]


class DotenvHarness(ProviderHarness):
    """Seeds through the .env file, in double quotes."""

    unsupported: Mapping[str, str] = {
        **dict.fromkeys(FAULTS, "a file has no wire that could fail"),
        "nul": "a .env file is text without NUL",
        "binary": "a .env file is text",
        "crlf": "line ends in a file are read as \\n; see test_dotenv",
    }

    def __init__(self, path) -> None:
        self.path = path
        self.values: dict[str, str] = {}
        self.provider = EnvironmentProvider({}, dotenv=path)

    async def seed(self, name: str, value: Payload) -> None:
        assert isinstance(value, str)
        self.values[name] = value
        self._write()

    async def remove(self, name: str) -> None:
        del self.values[name]
        self._write()

    def _write(self) -> None:
        quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in self.values.items()}
        self.path.write_text("".join(f'{name}="{value}"\n' for name, value in quoted.items()), newline="")


class TestConformance(ReaderConformance):
    """The contract of every provider, on the mapping."""

    @pytest.fixture
    def harness(self):
        """A provider on an empty mapping."""
        return EnvironmentHarness()


class TestDotenvConformance(ReaderConformance):
    """The contract of every provider, on the .env file."""

    @pytest.fixture
    def harness(self, tmp_path):
        """A provider on an empty mapping and a .env file."""
        return DotenvHarness(tmp_path / ".env")


@pytest.fixture
def dotenv(tmp_path):
    """The path of a .env file that is not there yet."""
    return tmp_path / ".env"


async def opened(environ=None, dotenv=None):
    provider = EnvironmentProvider(environ, dotenv=dotenv)
    await provider.open()
    return provider


def test_reads_only():
    """It is a provider that neither writes nor lists."""
    provider = EnvironmentProvider({})
    assert isinstance(provider, Provider)
    assert not isinstance(provider, Writer)
    assert not isinstance(provider, Lister)


async def test_process_environment_is_live(monkeypatch):
    """Without a mapping it reads the process environment as it is at each get."""
    env = await opened()
    monkeypatch.setenv("ASYNCSECRETS_TEST", "canary-one")
    assert (await env.get("ASYNCSECRETS_TEST")).equals("canary-one")
    monkeypatch.setenv("ASYNCSECRETS_TEST", "canary-two")
    assert (await env.get("ASYNCSECRETS_TEST")).equals("canary-two")
    monkeypatch.delenv("ASYNCSECRETS_TEST")
    with pytest.raises(SecretNotFoundError):
        await env.get("ASYNCSECRETS_TEST")


async def test_empty_variable_is_present(dotenv):
    """A variable that is set and empty is a value; the .env file does not replace it."""
    dotenv.write_text("EMPTY=canary-file\nBLANK=\n")
    env = await opened({"EMPTY": ""}, dotenv)
    assert (await env.get("EMPTY")).equals("")
    assert (await env.get("BLANK")).equals("")


async def test_environment_wins_over_dotenv(dotenv):
    """The real environment wins; the file answers for what it does not have."""
    dotenv.write_text("BOTH=canary-file\nFILE=canary-only\n")
    env = await opened({"BOTH": "canary-real"}, dotenv)
    assert (await env.get("BOTH")).equals("canary-real")
    assert (await env.get("FILE")).equals("canary-only")


async def test_given_environment_is_not_changed(dotenv):
    """Nothing from the file is ever put into the environment."""
    dotenv.write_text("FILE=canary\n")
    environ: dict[str, str] = {}
    env = await opened(environ, dotenv)
    await env.get("FILE")
    assert environ == {}
    assert "FILE" not in os.environ


@pytest.mark.skipif(not os.supports_bytes_environ, reason="this system's environment is text")
async def test_bytes_that_are_not_text(monkeypatch):
    """A variable that is not UTF-8 comes back as the bytes it is."""
    monkeypatch.setitem(os.environb, b"ASYNCSECRETS_TEST", b"canary\xff\xfe\n")
    secret = await (await opened()).get("ASYNCSECRETS_TEST")
    assert secret.is_binary
    assert secret.equals(b"canary\xff\xfe\n")


async def test_text_that_no_environment_holds():
    """A mapping's lone surrogates come back as they are: nothing is converted."""
    secret = await (await opened({"ODD": "canary\udcff\ud800"})).get("ODD")
    assert secret.reveal() == "canary\udcff\ud800"


@pytest.mark.parametrize("name", ["", "A=B", "=", "A\0", "\ud800", "A\udcff"])
async def test_impossible_names(name):
    """A name that no variable can have is refused by get, and simply not there for lookup."""
    env = await opened()
    with pytest.raises(InvalidNameError) as caught:
        await env.get(name)
    assert (caught.value.provider, caught.value.name) == ("env", name)
    assert env.lookup(name) is None


@pytest.mark.parametrize("name", ["litellm/team-a", "a.b", "päth", "with space"])
async def test_odd_names_are_absent(name):
    """A name that only other managers use is absent here, so that this can be their fallback."""
    with pytest.raises(SecretNotFoundError):
        await (await opened()).get(name)


async def test_version_is_refused():
    """The environment has no versions, and says so instead of answering with the current value."""
    env = await opened({"NAME": "canary"})
    with pytest.raises(UnsupportedOperationError):
        await env.get("NAME", "1")


async def test_lookup(dotenv):
    """Lookup answers at once from the environment and from the file as it was last read, without reading it."""
    dotenv.write_text("FILE=canary-one\n")
    environ = {"REAL": "canary-real"}
    env = await opened(environ, dotenv)
    dotenv.write_text("FILE=canary-second\n")
    assert env.lookup("REAL").equals("canary-real")
    assert env.lookup("FILE").equals("canary-one")
    assert env.lookup("NONE") is None
    await env.get("FILE")
    assert env.lookup("FILE").equals("canary-second")
    await env.aclose()
    with pytest.raises(ClosedError):
        env.lookup("REAL")


async def test_changed_file_is_read_again(dotenv):
    """A file that appears, changes (also within one tick of its clock) or goes is seen by the next get."""
    env = await opened({}, dotenv)
    with pytest.raises(SecretNotFoundError):
        await env.get("NAME")
    for value in ("canary-a", "canary-b", "canary-c"):
        dotenv.write_text(f"NAME={value}\n")
        assert (await env.get("NAME")).equals(value)
    dotenv.unlink()
    with pytest.raises(SecretNotFoundError):
        await env.get("NAME")


async def test_unchanged_file_is_not_read_again(dotenv):
    """Once the file's clock has moved on, an unchanged file is not parsed again."""
    dotenv.write_text("NAME=canary\n")
    os.utime(dotenv, (1_700_000_000, 1_700_000_000))
    env = await opened({}, dotenv)
    first = env._loaded
    await env.get("NAME")
    assert env._loaded is first


async def test_damaged_file(dotenv):
    """A file that cannot be understood fails the opening with its line, and a later get as malformed."""
    dotenv.write_text("GOOD=1\nNAME='canary-unclosed\n")
    with pytest.raises(ConfigError, match=r"\.env, line 2") as caught:
        await opened({}, dotenv)
    assert "canary" not in str(caught.value)
    dotenv.write_text("NAME=canary\n")
    env = await opened({"REAL": "canary-real"}, dotenv)
    dotenv.write_text("NAME='canary-unclosed\n")
    with pytest.raises(MalformedResponseError, match="line 1") as malformed:
        await env.get("NAME")
    assert malformed.value.name == "NAME"
    assert malformed.value.__context__ is None
    assert (await env.get("REAL")).equals("canary-real")


async def test_unreadable_file(tmp_path):
    """A directory in the file's place is a ConfigError at opening; a file that cannot be read is never absent."""
    with pytest.raises(ConfigError, match="not a regular file"):
        await opened({}, tmp_path)
    (tmp_path / "file").write_text("")
    env = EnvironmentProvider({}, dotenv=tmp_path / "file" / "below")
    with pytest.raises(UnavailableError, match="cannot be read: Not a directory") as caught:
        await env.get("NAME")
    assert caught.value.__context__ is None


async def test_pipe_is_refused(tmp_path):
    """A pipe in the file's place is refused at once: reading it would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a regular file"):
        await opened({}, tmp_path / "pipe")


async def test_file_is_read_in_a_thread(dotenv, monkeypatch):
    """The event loop never waits for the file."""
    threads = []
    dotenv.write_text("NAME=canary\n")
    env = EnvironmentProvider({}, dotenv=dotenv)
    read = env._file.read
    monkeypatch.setattr(env._file, "read", lambda: threads.append(threading.get_ident()) or read())
    await env.open()
    await asyncio.gather(*(env.get("NAME") for _ in range(3)))
    assert len(threads) == 4
    assert threading.get_ident() not in threads


async def test_from_settings(tmp_path, monkeypatch):
    """From a config file it is the given environment and the working directory's .env."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("FILE=canary-file\n")
    env = EnvironmentProvider.from_settings({}, {"REAL": "canary-real"})
    await env.open()
    assert env.lookup("FILE").equals("canary-file")
    assert env.lookup("REAL").equals("canary-real")
