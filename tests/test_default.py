"""get_secret and get_secret_bool: which client, which text, which default; a script that opens nothing."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import asyncsecrets
from asyncsecrets import default, get_secret, get_secret_bool
from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ClosedError,
    ConfigError,
    DecodeError,
    InvalidNameError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.opening import open_default
from tests.client.support import ONCE, Manager, client_of, denied, down


@pytest.fixture(autouse=True)
def _no_client_is_left_open() -> object:
    """Whatever a test opens as the default, it closes."""
    assert default._open == ()
    yield
    left, default._open = default._open, ()
    default.rebind()
    assert left == ()


def test_it_is_a_coroutine_function() -> None:
    """asyncio.run, create_task and frameworks that look for coroutine functions all take it."""
    assert inspect.iscoroutinefunction(get_secret)
    assert inspect.iscoroutinefunction(get_secret_bool)


async def test_it_can_be_a_task() -> None:
    """create_task(get_secret(...)), cold and warm."""
    async with client_of(Manager({"NAME": "canary"})):
        for _ in range(2):
            assert await asyncio.create_task(get_secret("NAME")) == "canary"


@pytest.mark.parametrize(
    "text", ["", " canary ", "canary\r\n\n", "true", "0123", "null", '{"canary": 1}', "\u202ecanary\x00é", "1e5"]
)
async def test_the_text_is_exactly_what_is_stored(text: str) -> None:
    """Never stripped, never converted: the second read gives what the first gave."""
    async with client_of(Manager({"NAME": text})) as client:
        first, second = await get_secret("NAME"), await get_secret("os.environ/NAME")
        assert first == second == text == (await client.get("NAME")).reveal()
        assert type(first) is type(second) is str


async def test_the_default_is_for_what_is_absent_and_for_nothing_else() -> None:
    """A manager that is down or says no is not an absent secret, cold or after a success with another name."""
    manager = Manager()
    async with client_of(manager, retry=ONCE):
        marker = object()
        assert await get_secret("NAME", marker) is marker
        assert await get_secret("NAME", default=None) is None
        manager.failure = down
        with pytest.raises(UnavailableError):
            await get_secret("OTHER", "canary-default")
        manager.failure = denied
        with pytest.raises(AccessDeniedError):
            await get_secret("OTHER", None)
        with pytest.raises(InvalidNameError):
            await get_secret("", "canary-default")


async def test_no_default_raises() -> None:
    """Absent without a default is SecretNotFoundError, a LookupError."""
    async with client_of(Manager()):
        with pytest.raises(LookupError):
            await get_secret("NAME")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("true", True),
        ("YES", True),
        ("On", True),
        ("1", True),
        ("false", False),
        ("no", False),
        ("OFF", False),
        (" 0\n", False),
    ],
)
async def test_bool_words(text: str, meaning: bool) -> None:
    """The words of get_secret_bool, in any case."""
    async with client_of(Manager({"NAME": text})):
        assert await get_secret_bool("NAME") is meaning
        assert await get_secret_bool("NAME", default=not meaning) is meaning


@pytest.mark.parametrize("text", ["", "canary", "2", "truee", "y"])
async def test_any_other_word_is_no_bool(text: str) -> None:
    """An error that does not show the text, not even as a local variable of its traceback."""
    async with client_of(Manager({"NAME": text})):
        with pytest.raises(DecodeError, match="NAME") as caught:
            await get_secret_bool("NAME", default=True)
    frames = []
    traceback = caught.value.__traceback__
    while traceback is not None:
        if "asyncsecrets" in traceback.tb_frame.f_code.co_filename:
            frames.append(repr(traceback.tb_frame.f_locals))
        traceback = traceback.tb_next
    assert frames
    assert not any("canary" in frame for frame in frames)


async def test_bool_defaults() -> None:
    """The default of get_secret_bool is returned as it is, for what is absent."""
    async with client_of(Manager()):
        assert await get_secret_bool("NAME", default=None) is None
        assert await get_secret_bool("NAME", default=False) is False
        with pytest.raises(SecretNotFoundError):
            await get_secret_bool("NAME")


async def test_clients_nest() -> None:
    """The client opened last is the default; leaving restores the one before."""
    async with client_of(Manager({"NAME": "canary-1"})):
        assert await get_secret("NAME") == "canary-1"
        async with client_of(Manager({"NAME": "canary-2"})):
            assert await get_secret("NAME") == "canary-2"
        assert await get_secret("NAME") == "canary-1"


async def test_clients_may_overlap() -> None:
    """Closed out of order: the default is the one opened last of those that are open."""
    first, second, third = (client_of(Manager({"NAME": f"canary-{n}"})) for n in (1, 2, 3))
    for client in (first, second, third):
        await client.__aenter__()
    await second.aclose()
    assert await get_secret("NAME") == "canary-3"
    await third.aclose()
    assert await get_secret("NAME") == "canary-1"
    await first.aclose()


async def test_a_client_entered_twice_is_closed_once_and_for_all() -> None:
    """A closed client is never the default."""
    client = client_of(Manager({"NAME": "canary"}))
    async with client, client:
        assert await get_secret("NAME") == "canary"
    assert default._open == ()


async def test_two_defaults_do_not_share_what_is_warm() -> None:
    """What one client has warm is not served for another, also when it withdraws and comes back."""
    inner, outer = Manager({"NAME": "canary-inner"}), Manager({"ONLY": "canary-outer"})
    async with client_of(outer):
        assert await get_secret("ONLY") == "canary-outer"
        async with client_of(inner):
            with pytest.raises(SecretNotFoundError):
                await get_secret("ONLY")


async def test_while_the_client_closes_nothing_else_answers() -> None:
    """A reader during shutdown is told that its client is closed; it is not sent to the environment instead."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    await client.__aenter__()
    manager.gate = asyncio.Event()
    write = asyncio.create_task(client.put("NAME", "canary-new"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0.01)
    with pytest.raises(ClosedError):
        await get_secret("PATH")
    manager.gate.set()
    await closing
    assert (await write).reveal() == "canary-new"


async def test_after_the_client_was_closed_nothing_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is late is told so on that event loop, until another client is open; elsewhere it is not meant."""
    monkeypatch.setenv("CANARY_LATE", "canary-env")
    async with client_of(Manager({"CANARY_LATE": "canary"})):
        assert await get_secret("CANARY_LATE") == "canary"
    for default_value in ({}, {"default": None}):
        with pytest.raises(ClosedError, match="keep it open"):
            await get_secret("CANARY_LATE", **default_value)
    async with client_of(Manager({"CANARY_LATE": "canary-2"})):
        assert await get_secret("CANARY_LATE") == "canary-2"

    async def elsewhere() -> str:
        value = await get_secret("CANARY_LATE")
        await _close_implicit()
        return value

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == "canary-env"


# -- no client is open


async def _close_implicit() -> None:
    for client in default._open:
        await client.aclose()  # type: ignore[attr-defined]


async def test_the_environment_is_the_last_resort(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a configuration, get_secret opens a client on the environment, and .env, once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASYNCSECRETS_CONFIG", raising=False)
    monkeypatch.setenv("CANARY_NAME", "canary-env")
    (tmp_path / ".env").write_text("CANARY_DOTENV=canary-dotenv\n")
    answers = await asyncio.gather(*(get_secret("CANARY_NAME") for _ in range(200)))
    assert set(answers) == {"canary-env"}
    assert await get_secret("CANARY_DOTENV") == "canary-dotenv"
    assert await get_secret("CANARY_ABSENT", None) is None
    assert len(default._open) == 1
    await _close_implicit()


async def test_one_client_is_built_for_any_number_of_first_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a caller who is cancelled while it is being built harms nobody else."""
    built = []
    gate = threading.Event()

    def build() -> object:
        built.append(client_of(Manager({"NAME": "canary"})))
        gate.wait(10)
        return built[-1]

    monkeypatch.setattr(default, "_opener", lambda: open_default(build))
    readers = [asyncio.create_task(get_secret("NAME")) for _ in range(50)]
    await asyncio.sleep(0)
    readers[0].cancel()
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*readers, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert set(answers[1:]) == {"canary"}
    assert len(built) == 1
    await _close_implicit()


async def test_a_configuration_that_is_wrong_is_told_to_every_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each gets an instance of its own, and the next call tries again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASYNCSECRETS_CONFIG", "missing.yaml")
    errors = await asyncio.gather(*(get_secret("NAME", "canary-default") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, ConfigError) for error in errors)
    assert len({id(error) for error in errors}) == 3
    (tmp_path / "missing.yaml").write_text("general_settings: {}\n")
    monkeypatch.setenv("CANARY_NAME", "canary")
    assert await get_secret("CANARY_NAME") == "canary"
    await _close_implicit()


def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set what the default client is opened from, in its ``n``th form."""
    monkeypatch.delenv("ASYNCSECRETS_CONFIG", raising=False)

    def set_up(n: int) -> None:
        directory = tmp_path / str(n)
        directory.mkdir(exist_ok=True)
        (directory / ".env").write_text(f"CANARY_DOTENV=canary-dotenv-{n}\n")
        monkeypatch.chdir(directory)
        monkeypatch.setenv("CANARY_NAME", f"canary-{n}")

    return set_up


async def _read() -> tuple[str, str]:
    return await get_secret("CANARY_NAME"), await get_secret("CANARY_DOTENV")


def _run_in_a_thread(main: Coroutine[Any, Any, Any]) -> Any:
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, main).result()


@pytest.mark.parametrize("run_it", [asyncio.run, _run_in_a_thread])
def test_the_next_loop_opens_another_client(
    run_it: Callable[[Coroutine[Any, Any, Any]], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another environment, another working directory, another configuration: each run sees its own."""
    set_up = _environment(tmp_path, monkeypatch)
    for n in range(3):
        set_up(n)
        assert run_it(_read()) == (f"canary-{n}", f"canary-dotenv-{n}")
    (tmp_path / "canary_provider.py").write_text(CUSTOM)
    (tmp_path / "other.yaml").write_text(CONFIG % "")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ASYNCSECRETS_CONFIG", str(tmp_path / "other.yaml"))
    assert run_it(get_secret("CANARY_NAME")) == "canary-custom"
    asyncio.run(asyncsecrets.reset_default())


def test_a_client_of_the_programs_own_outlives_its_loops() -> None:
    """It is the program that says when it ends: its values survive."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    for _ in range(3):
        asyncio.run(client.start())
        assert asyncio.run(client.get("NAME")).reveal() == "canary"
    assert manager.calls == [("get", "NAME")]
    asyncio.run(client.aclose())


def test_what_nobody_vouches_for_is_asked_for() -> None:
    """Between two loops the life of a value may end; get_secret reads no clock, and must not serve it."""
    manager, now = Manager({"NAME": "canary-1"}), [1.0]
    options = {"clock": lambda: now[0], "guarded": False}
    client = client_of(manager, refresh_interval=60, max_stale=60, cache_options=options)

    async def first() -> None:
        await client.__aenter__()
        assert [await get_secret("NAME") for _ in range(2)] == ["canary-1"] * 2

    async def second() -> None:
        assert await get_secret("NAME") == "canary-2"
        await client.__aexit__(None, None, None)

    asyncio.run(first())
    manager.set("NAME", "canary-2")
    now[0] = 1_000.0
    asyncio.run(second())


async def test_the_default_client_can_be_reset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Within one loop, as in a test suite that has one for all."""
    set_up = _environment(tmp_path, monkeypatch)
    for n in range(3):
        set_up(n)
        assert await _read() == (f"canary-{n}", f"canary-dotenv-{n}")
        await asyncsecrets.reset_default()
        assert default._open == ()
    await asyncsecrets.reset_default()
    async with client_of(Manager({"CANARY_NAME": "canary-own"})):
        await asyncsecrets.reset_default()
        assert await get_secret("CANARY_NAME") == "canary-own"
    with pytest.raises(ClosedError):
        await get_secret("CANARY_NAME")
    await asyncsecrets.reset_default()
    assert await get_secret("CANARY_NAME") == "canary-2"
    await asyncsecrets.reset_default()


def test_an_ended_default_client_does_not_stand_in_for_one_that_was_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under a client of the program's own there was one that get_secret had opened on an earlier loop."""
    set_up = _environment(tmp_path, monkeypatch)
    set_up(0)
    asyncio.run(_read())

    async def late() -> None:
        async with client_of(Manager({"CANARY_NAME": "canary-own"})):
            assert await get_secret("CANARY_NAME") == "canary-own"
        with pytest.raises(ClosedError):
            await get_secret("CANARY_NAME")

    asyncio.run(late())
    assert default._open == ()


def test_a_client_that_another_thread_has_ended_meanwhile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader who took the one of a loop that has ended, just before it was closed for that, takes the next one."""
    set_up = _environment(tmp_path, monkeypatch)
    set_up(0)
    asyncio.run(_read())
    taken = [default._open[-1]]
    now = default.current_client
    set_up(1)
    monkeypatch.setattr(default, "current_client", lambda: taken.pop() if taken else now())

    async def late() -> tuple[str, str]:
        await default._open_default()
        return await _read()

    assert asyncio.run(late()) == ("canary-1", "canary-dotenv-1")
    assert not taken
    asyncio.run(asyncsecrets.reset_default())


async def test_many_readers_on_a_new_loop_open_one_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All of them find the old one, and none of them is told that it is closed."""
    set_up = _environment(tmp_path, monkeypatch)
    set_up(0)
    await asyncio.to_thread(asyncio.run, _read())
    set_up(1)
    answers = await asyncio.gather(*(_read() for _ in range(50)))
    assert set(answers) == {("canary-1", "canary-dotenv-1")}
    await asyncsecrets.reset_default()


SCRIPT = """
import asyncio, sys, warnings
from asyncsecrets import get_secret
{body}
"""


async def run(body: str, *, cwd: Path, **environ: str) -> tuple[int, str, str]:
    """Run a script as strictly as Python can, and return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-X",
        "dev",
        "-c",
        SCRIPT.format(body=body),
        cwd=cwd,
        env={"PYTHONPATH": str(Path(asyncsecrets.__file__).parents[1]), "PATH": "", **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    # How long a step took says something of the machine, and nothing of the script.
    complaints = [line for line in err.decode().splitlines() if not (line.startswith("Executing <") and "took" in line)]
    return process.returncode or 0, out.decode(), "\n".join(complaints)


CUSTOM = """
import asyncio
from asyncsecrets.providers.memory import MemoryProvider

class Provider(MemoryProvider):
    opened = closed = 0

    @classmethod
    def from_settings(cls, settings, environ):
        return cls({"CANARY_NAME": "canary-custom"})

    async def open(self):
        Provider.opened += 1
        self.keeper = asyncio.create_task(asyncio.sleep(3600))
        await super().open()

    async def aclose(self):
        Provider.closed += 1
        self.keeper.cancel()
        await super().aclose()
"""

CONFIG = """
general_settings:
  key_management_system: custom
  key_management_settings: {custom_secret_manager: canary_provider.Provider, access_mode: read_only%s}
"""


@pytest.mark.parametrize("extra", ["", ", hosted_keys: [CANARY_NAME]"])
@pytest.mark.parametrize("named", [True, False])
async def test_a_script_that_opens_nothing_exits_quietly(tmp_path: Path, named: bool, extra: str) -> None:
    """asyncio.run(get_secret(...)) twice, with config.yaml here or named by ASYNCSECRETS_CONFIG: right and silent."""
    (tmp_path / "canary_provider.py").write_text(CUSTOM)
    (tmp_path / ("other.yaml" if named else "config.yaml")).write_text(CONFIG % extra)
    body = (
        "sys.path.insert(0, '.')\n"
        "print(asyncio.run(get_secret('CANARY_NAME')), asyncio.run(get_secret('CANARY_NAME')))\n"
        "from canary_provider import Provider\nprint(Provider.opened, Provider.closed)\n"
    )
    environ = {"ASYNCSECRETS_CONFIG": "other.yaml"} if named else {}
    assert await run(body, cwd=tmp_path, **environ) == (0, "canary-custom canary-custom\n2 2\n", "")


@pytest.mark.parametrize("always", ["true", "false"])
async def test_a_provider_that_is_always_read_is_closed_with_the_loop_as_well(tmp_path: Path, always: str) -> None:
    """What get_secret opened by itself is closed when the loop ends, whether anything was cached or not."""
    (tmp_path / "canary_provider.py").write_text(CUSTOM)
    body = (
        "sys.path.insert(0, '.')\n"
        "from asyncsecrets import SecretsClient, default\n"
        "from asyncsecrets.config import *\n"
        "from canary_provider import Provider\n"
        "source = SourceConfig(name='default', system='memory', freshness=Freshness(cached=%s))\n"
        "provider = Provider({'CANARY_NAME': 'canary'})\n"
        "client = SecretsClient(Config(sources={'default': source}), providers={'default': provider})\n"
        "for _ in range(2):\n"
        "    print(asyncio.run(client.get('CANARY_NAME')).reveal(), asyncio.run(client.list()))\n"
        "print(Provider.opened == Provider.closed)\n"
    ) % (always != "true")
    expected = "canary ['CANARY_NAME']\n" * 2 + "True\n"
    assert await run(body, cwd=tmp_path) == (0, expected, "")


async def test_a_script_is_told_what_is_wrong(tmp_path: Path) -> None:
    """An absent secret ends a script with the error that names both places, and with nothing else."""
    body = """
try:
    asyncio.run(get_secret('CANARY_ABSENT'))
except LookupError as error:
    print(type(error).__name__)
"""
    assert await run(body, cwd=tmp_path) == (0, "SecretNotFoundError\n", "")


async def test_every_error_is_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever get_secret meets, what it raises is one of ours."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("general_settings: {key_management_system: canary-unknown}\n")
    monkeypatch.delenv("ASYNCSECRETS_CONFIG", raising=False)
    with pytest.raises(AsyncSecretsError):
        await get_secret("NAME", "canary-default")


def test_clients_of_many_threads() -> None:
    """None that was closed stays the default."""

    def thread() -> None:
        async def main() -> None:
            for _ in range(50):
                async with client_of(Manager({"NAME": "canary"})):
                    pass

        asyncio.run(main())

    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.000001)
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: thread(), range(6)))
    finally:
        sys.setswitchinterval(usual)
    assert default._open == ()
