"""EnvironmentProvider: the conformance suite, precedence, and the life of the .env file."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from unittest import mock

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
from asyncsecrets.providers.additions import Additions
from asyncsecrets.providers.base import Lister, Provider, Writer
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.providers.pipes import read_pipe
from asyncsecrets.secret import Payload
from asyncsecrets.testing.conformance import FAULTS, UNUSUAL_NAMES, ProviderHarness, ReaderConformance
from asyncsecrets.trust import UsualFile


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
    """Seeds through the .env file, in single quotes."""

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
        quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in self.values.items()}
        self.path.write_text("".join(f"{name}='{value}'\n" for name, value in quoted.items()), newline="")


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
    first = env._additions._file.read()
    await env.get("NAME")
    assert env._additions._file.read() is first


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


async def test_file_is_read_in_a_thread(dotenv, monkeypatch):
    """The event loop never waits for the file."""
    threads = []
    dotenv.write_text("NAME=canary\n")
    env = EnvironmentProvider({}, dotenv=dotenv)
    read = env._additions.read
    monkeypatch.setattr(env._additions, "read", lambda: threads.append(threading.get_ident()) or read())
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
    assert env.lookup("FILE") is None  # nobody has asked yet
    await env.look()
    assert env.lookup("FILE").equals("canary-file")
    assert env.lookup("REAL").equals("canary-real")


# The .env of the working directory, which may be anybody's


@pytest.fixture
def told(caplog):
    """What operators are told, and that it holds no value."""

    def told():
        messages = [record.getMessage() for record in caplog.records if record.name == "asyncsecrets.config"]
        assert not any("canary" in message or "\n" in message for message in messages)
        return messages

    return told


def usual(path, environ=None, **options):
    options.setdefault("pour", lambda path: read_pipe(path, within=0.05))
    return EnvironmentProvider(
        environ, dotenv=Additions(UsualFile(path, "or name it"), environ=environ or {}, **options)
    )


async def missing(env, name="NONE"):
    """What is said to who misses a name."""
    with pytest.raises(SecretNotFoundError) as caught:
        await env.get(name)
    assert "canary" not in str(caught.value)
    return str(caught.value)


async def test_mistakes_stop_nobody(dotenv, told):
    """What can be used is used; what cannot is told once with file and line, and to whoever misses a name."""
    dotenv.write_bytes(b"BARE\nGOOD=canary\nQUOTE='canary\nBAD=\xff\nURL=db://${GOOD}@h\nTYPO=${GOD}\n")
    env = usual(dotenv)
    await env.open()
    assert told() == []
    assert (await env.get("GOOD")).equals("canary")
    assert (await env.get("URL")).equals("db://canary@h")
    (message,) = told()
    assert message.startswith(f"{dotenv}, line 1: a name without a value")
    assert "; line 3: not NAME=value;" in message
    assert message.endswith("; and 1 more; the rest is used")
    assert message in await missing(env, "TYPO")
    await missing(env, "QUOTE")
    assert len(told()) == 1
    dotenv.write_text("BARE\n")
    await missing(env, "GOOD")
    dotenv.write_text("MENDED=1\n")
    assert await missing(env, "GOOD") == "env: 'GOOD' is not set"
    assert len(told()) == 2


async def test_what_is_no_file_stops_nobody(tmp_path, told, monkeypatch):
    """A folder (Docker makes one of a missing mount), and a file that may not be read."""
    (tmp_path / "folder").mkdir()
    env = usual(tmp_path / "folder", {"REAL": "canary"})
    await env.open()
    assert (await env.get("REAL")).equals("canary")
    assert told() == []
    assert f"{tmp_path / 'folder'} is not a regular file; it is not used" in await missing(env)
    (tmp_path / "file").write_text("A=canary\n")
    env = usual(tmp_path / "file")
    monkeypatch.setattr(env._additions._file, "read", mock.Mock(side_effect=PermissionError(13, "canary")))
    assert "file cannot be read: Permission denied; it is not used" in await missing(env)
    assert len(told()) == 2


@pytest.mark.parametrize("named", [True, False])
async def test_a_pipe_is_read_once_per_opening(tmp_path, named):
    """A password manager writes to whoever opens it; each opening may ask its owner, so there is one."""
    pipe, poured = tmp_path / ".env", []
    os.mkfifo(pipe)

    def pour(path):
        writer = threading.Thread(target=path.write_text, args=(f"A=canary-{len(poured)}\n",))
        writer.start()
        poured.append(read_pipe(path))
        writer.join()
        return poured[-1]

    env = EnvironmentProvider({}, dotenv=Additions(pipe if named else UsualFile(pipe, ""), environ={}, pour=pour))
    await env.open()
    assert len(poured) == named
    for _ in range(3):
        assert (await env.get("A")).equals("canary-0")
    await asyncio.gather(*(missing(env, f"B{n}") for n in range(20)))
    assert len(poured) == 1
    await env.aclose()
    await env.open()
    assert (await env.get("A")).equals("canary-1")
    assert len(poured) == 2


async def test_a_pipe_that_nobody_writes_to(tmp_path, told):
    """It keeps nobody for longer than was said, all at once only once, and is opened again a while later."""
    pipe, now, opened_at = tmp_path / ".env", 0.0, []
    os.mkfifo(pipe)

    def pour(path):
        opened_at.append(now)
        return read_pipe(path, within=0.05)

    env = usual(pipe, {"REAL": "canary"}, pour=pour, clock=lambda: now)
    await env.open()
    assert (await env.get("REAL")).equals("canary")
    assert opened_at == []
    messages = await asyncio.gather(*(missing(env, f"B{n}") for n in range(20)))
    assert all("nobody wrote to this pipe within 0.05 s" in message for message in messages)
    assert opened_at == [0.0]
    assert len(told()) == 1
    now = 31.0
    await missing(env)
    assert opened_at == [0.0, 31.0]
    with pytest.raises(ConfigError, match="nobody wrote to this pipe"):
        await EnvironmentProvider({}, dotenv=Additions(pipe, pour=pour, clock=lambda: now)).open()


async def test_given_values_win(dotenv):
    """What a configuration gives a variable goes before the environment, as in LiteLLM, and the file comes last."""
    dotenv.write_text("A=canary-file\nB=canary-file\nC=canary-file\n")
    environ = {"A": "canary-real", "B": "canary-real"}
    additions = Additions(UsualFile(dotenv, ""), given={"A": "canary-given"}, environ=environ)
    env = EnvironmentProvider(environ, dotenv=additions)
    for name, value in (("A", "given"), ("B", "real"), ("C", "file")):
        assert (await env.get(name)).equals(f"canary-{value}")
    assert "canary" not in f"{vars(additions)!r} {vars(env)!r}"


def test_the_file_is_there_while_it_is_read_anew(tmp_path):
    """Whoever looks while a thread reads sees what was seen last, and not a file without variables."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("A=canary-1\n")
    seen = []

    class Watched(UsualFile):
        """A file at which somebody looks while it is judged."""

        __slots__ = ()

        def check(self) -> None:
            seen.append(additions.get("A", {}))

    additions = Additions(Watched(dotenv, ""), environ={})
    additions.read()
    dotenv.write_text("A=canary-two\n")
    additions.read()
    assert seen == [None, "canary-1"]
    assert additions.get("A", {}) == "canary-two"
    dotenv.unlink()
    additions.read()
    assert additions.get("A", {}) is None
