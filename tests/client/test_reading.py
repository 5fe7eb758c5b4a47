"""Reading: stampedes, cancelled callers, errors of one's own, several at once, documents, what is always read."""

from __future__ import annotations

import asyncio
import gc
import traceback
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets import get_secret
from asyncsecrets.client import SecretsClient
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    DeadlineExceededError,
    DecodeError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    ResolveError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Secret
from tests.client.support import ONCE, Manager, client_of, client_with, denied, down, settled, value

MANY = 10_000


async def test_ten_thousand_readers_of_a_cold_key_cost_one_call() -> None:
    """One flight, whoever asks and under whatever reference; the same Secret for all."""
    manager = Manager({"NAME": "canary"})
    manager.gate = asyncio.Event()
    async with client_of(manager) as client:
        names = ["NAME", "os.environ/NAME", "secret://default/NAME", "secret:///NAME"]
        readers = [asyncio.create_task(client.get(names[i % 4])) for i in range(MANY)]
        await settled()
        manager.gate.set()
        found = await asyncio.gather(*readers)
        assert {secret.reveal() for secret in found} == {"canary"}
        assert len({id(secret) for secret in found}) == 1
    assert manager.calls == [("get", "NAME")]


async def test_ten_thousand_readers_share_a_failure_and_nothing_else_of_it() -> None:
    """One call; each reader's error is its own, without a traceback that grows with the others."""
    manager = Manager()
    manager.gate = asyncio.Event()
    manager.failure = denied
    async with client_of(manager) as client:
        readers = [asyncio.create_task(client.get("NAME")) for _ in range(MANY)]
        await settled()
        manager.gate.set()
        errors = await asyncio.gather(*readers, return_exceptions=True)
    assert manager.calls == [("get", "NAME")]
    assert {type(error) for error in errors} == {AccessDeniedError}
    assert len({id(error) for error in errors}) == MANY
    lengths = {len(traceback.extract_tb(error.__traceback__)) for error in errors if isinstance(error, Exception)}
    assert max(lengths) <= 4
    assert all(
        error.__context__ is None and error.__cause__ is None for error in errors if isinstance(error, Exception)
    )


async def test_a_failure_is_not_remembered() -> None:
    """The next reader asks anew; only *absent* is believed for a while."""
    manager = Manager({"NAME": "canary"})
    manager.failure = denied
    async with client_of(manager) as client:
        for _ in range(3):
            with pytest.raises(AccessDeniedError):
                await client.get("NAME")
        manager.failure = None
        assert value(await client.get("NAME")) == "canary"
        for _ in range(3):
            with pytest.raises(SecretNotFoundError):
                await client.get("OTHER")
    assert len(manager.calls) == 5


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelling_the_first_reader_harms_nobody(fails: bool) -> None:
    """Nor does cancelling the last; the flight runs on and fills the cache."""
    manager = Manager({"NAME": "canary"})
    manager.gate = asyncio.Event()
    manager.failure = denied if fails else None
    async with client_of(manager) as client:
        readers = [asyncio.create_task(client.get("NAME")) for _ in range(10)]
        await settled()
        readers[0].cancel()
        readers[-1].cancel()
        await settled()
        assert readers[0].cancelled()
        assert readers[-1].cancelled()
        manager.gate.set()
        answers = await asyncio.gather(*readers[1:-1], return_exceptions=True)
        assert all(isinstance(answer, AccessDeniedError if fails else Secret) for answer in answers)
    assert len(manager.calls) == 1


async def test_a_flight_without_readers_lands_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """All readers cancelled: a value is kept for the next, a failure is not reported as never retrieved."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager) as client:
        for failure in (denied, None):
            manager.gate, manager.failure = asyncio.Event(), failure
            reader = asyncio.create_task(client.get("NAME"))
            await settled()
            reader.cancel()
            await asyncio.wait({reader})
            manager.gate.set()
            await settled()
        gc.collect()
        assert value(await client.get("NAME")) == "canary"
        assert manager.calls == [("get", "NAME")] * 2
    assert "never retrieved" not in caplog.text


async def test_a_reader_cancelled_as_its_failure_arrives_leaves_no_complaint(caplog: pytest.LogCaptureFixture) -> None:
    """The failure and the cancellation in one turn of the loop."""
    manager = Manager()
    manager.gate = asyncio.Event()
    manager.failure = denied
    async with client_of(manager) as client:
        readers = [asyncio.create_task(client.get("NAME")) for _ in range(5)]
        await settled()
        manager.gate.set()
        for _ in range(10):
            await asyncio.sleep(0)
            if readers[0].done():
                break
            waiting = client._sources["default"].cache._flights
            if not waiting:
                for reader in readers:
                    reader.cancel()
        await asyncio.wait(readers)
        del readers
        gc.collect()
    assert "never retrieved" not in caplog.text


async def test_the_whole_of_a_cold_read_has_one_deadline() -> None:
    """Opening, login and body included: a provider that hangs, in open or in get, is an error in time."""

    class HangsInOpen(Manager):
        async def open(self) -> None:
            await asyncio.sleep(3600)

    hanging = Manager()
    hanging.gate = asyncio.Event()
    for manager in (HangsInOpen(), hanging):
        client = client_of(manager, retry=RetryPolicy(deadline=0.05))
        async with asyncio.timeout(5):
            with pytest.raises(DeadlineExceededError, match=r"'NAME' at memory took longer than 0.05 s"):
                await client.get("NAME")
            await client.aclose()


async def test_opening_fails_for_every_caller_and_is_tried_again() -> None:
    """Each caller has an error of its own; the provider is opened once for all of them, and closed after a failure."""

    class FailsToOpen(Manager):
        wrong = True

        async def open(self) -> None:
            await super().open()
            if self.wrong:
                raise ConfigError("the configuration is wrong")

    manager = FailsToOpen({"NAME": "canary", "OTHER": "canary"})
    client = client_of(manager)
    errors = await asyncio.gather(client.get("NAME"), client.get("OTHER"), return_exceptions=True)
    assert [type(error) for error in errors] == [ConfigError] * 2
    assert errors[0] is not errors[1]
    assert (manager.opened, manager.closed) == (1, 1)
    manager.wrong = False
    assert value(await client.get("NAME")) == "canary"
    await client.aclose()
    assert (manager.opened, manager.closed) == (2, 2)


async def test_many_readers_open_once() -> None:
    """Also if the first of them is cancelled while it waits for the provider to open."""
    gate = asyncio.Event()

    class OpensSlowly(Manager):
        async def open(self) -> None:
            await gate.wait()
            await super().open()

    manager = OpensSlowly({f"N{i}": "canary" for i in range(50)})
    client = client_of(manager)
    readers = [asyncio.create_task(client.get(f"N{i}")) for i in range(50)]
    await settled()
    readers[0].cancel()
    await settled()
    gate.set()
    await asyncio.gather(*readers[1:])
    assert manager.opened == 1
    await client.aclose()


class TestSeveral:
    """get_many, warm_up, resolve: all or nothing."""

    async def test_get_many_answers_by_the_name_that_was_given(self) -> None:
        """Repeated names are asked for once."""
        manager = Manager({"A": "canary-a", "B": "canary-b"})
        async with client_of(manager) as client:
            found = await client.get_many(name for name in ("A", "os.environ/B", "A"))
            assert {name: secret.reveal() for name, secret in found.items()} == {
                "A": "canary-a",
                "os.environ/B": "canary-b",
            }
            assert await client.get_many([]) == {}
        assert sorted(manager.calls) == [("get", "A"), ("get", "B")]

    async def test_one_error_lists_every_name_that_failed(self) -> None:
        """With the class of each failure, and no value of those that were found."""
        manager = Manager({"A": "canary-a", "D": "canary-d"})
        manager.failure = lambda name: denied(name) if name == "D" else None  # type: ignore[return-value,arg-type]

        async def before(operation: str, name: str) -> None:
            if name == "D":
                raise denied(name)

        manager.before = before
        async with client_of(manager) as client:
            for several in (client.get_many, client.warm_up):
                with pytest.raises(ResolveError) as caught:
                    await several(["A", "B", "D", ""])
                assert {name: type(error) for name, error in caught.value.failures.items()} == {
                    "B": SecretNotFoundError,
                    "D": AccessDeniedError,
                    "": InvalidNameError,
                }
                assert "canary" not in str(caught.value)

    @pytest.mark.parametrize("names", ["NAME", None, 3])
    async def test_a_single_text_is_no_list_of_names(self, names: Any) -> None:
        """get_many('NAME') is a mistake, not five names of one letter."""
        async with client_of(Manager()) as client:
            with pytest.raises(ConfigError, match="several names"):
                await client.get_many(names)

    @pytest.mark.parametrize("name", [None, 3, ["NAME"], b"NAME"])
    async def test_what_is_no_text_names_nothing(self, name: Any) -> None:
        """An error of ours, also where it cannot be a key of a dict."""
        async with client_of(Manager()) as client:
            for read in (client.get, client.refresh, get_secret):
                with pytest.raises(InvalidNameError, match="is text"):
                    await read(name)
            for several in (client.get_many, client.warm_up):
                with pytest.raises(InvalidNameError, match="is text"):
                    await several(["NAME", name])

    async def test_resolve_replaces_references_and_touches_nothing_else(self) -> None:
        """Values are text, put in as they are, and never looked at for references again."""
        manager = Manager({"A": "os.environ/B", "B": "canary-b", "T": "true"})
        document: dict[str, Any] = {
            "a": "os.environ/A",
            "list": ["secret://default/B", 1, None, 2.5, True, "plain os.environ/B", {"deep": "os.environ/T"}],
            "os.environ/A": "key",
        }
        async with client_of(manager) as client:
            resolved = await client.resolve(document)
            assert await client.resolve("os.environ/B") == "canary-b"
        assert resolved == {
            "a": "os.environ/B",
            "list": ["canary-b", 1, None, 2.5, True, "plain os.environ/B", {"deep": "true"}],
            "os.environ/A": "key",
        }
        assert document["a"] == "os.environ/A"

    async def test_resolve_is_all_or_nothing(self) -> None:
        """Binary values and references that are none are listed beside what is absent."""
        manager = Manager({"A": "canary-a", "BINARY": b"\xffcanary"})
        document = {
            "a": "os.environ/A",
            "b": "os.environ/BINARY",
            "c": "os.environ/C",
            "d": "secret://",
            "e": "os.environ/",
        }
        async with client_of(manager) as client:
            with pytest.raises(ResolveError, match="4 secrets could not be read") as caught:
                await client.resolve(document)
        assert {name: type(error) for name, error in caught.value.failures.items()} == {
            "os.environ/BINARY": DecodeError,
            "os.environ/C": SecretNotFoundError,
            "secret://": ConfigError,
            "os.environ/": InvalidNameError,
        }


class TestAlwaysRead:
    """cached False: every read asks the manager, and nothing stays behind."""

    def client(self, manager: Manager, environ: dict[str, str] | None = None) -> SecretsClient:
        declared = SourceConfig(name="default", system="memory", freshness=Freshness(cached=False))
        return client_with({"default": (declared, manager)}, environ)

    async def test_every_read_is_a_call(self) -> None:
        """Also refresh(); and nothing is ever warm."""
        manager = Manager({"NAME": "canary-1"})
        async with self.client(manager) as client:
            assert value(await client.get("NAME")) == "canary-1"
            manager.set("NAME", "canary-2")
            assert value(await client.get("NAME")) == "canary-2"
            assert value(await client.refresh("NAME")) == "canary-2"
            assert client.peek("NAME") is None
            assert len(client._sources["default"].cache) == 0
        assert len(manager.calls) == 3

    async def test_the_rules_are_the_same(self) -> None:
        """The environment stands in for what is absent, and for nothing else."""
        manager = Manager()
        async with self.client(manager, {"NAME": "canary-env"}) as client:
            assert value(await client.get("NAME")) == "canary-env"
            with pytest.raises(SecretNotFoundError, match="environment has no variable"):
                await client.get("OTHER")
            manager.failure = denied
            with pytest.raises(AccessDeniedError):
                await client.get("NAME")

    async def test_a_cancelled_reader_ends_its_own_call(self) -> None:
        """Nobody else waits for it, so nothing of it is left."""
        manager = Manager({"NAME": "canary"})
        manager.gate = asyncio.Event()
        async with self.client(manager) as client:
            reader = asyncio.create_task(client.get("NAME"))
            await settled()
            reader.cancel()
            await asyncio.wait({reader})
            await settled()
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "asyncsecrets-operation"]


class TestProvidersThatMisbehave:
    """What no provider may do is an error that says so, and never a value in a message."""

    async def test_a_foreign_exception_becomes_one_of_ours(self) -> None:
        """Its class and place are told, its text is not, and it does not ride along."""
        manager = Manager()
        manager.failure = lambda name: KeyError("canary-value-in-an-exception")
        async with client_of(manager) as client:
            with pytest.raises(ProviderError, match=r"failed with KeyError in support.py, line \d+") as caught:
                await client.get("NAME")
            with pytest.raises(ProviderError):
                await client.list()
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        assert caught.value.__context__ is caught.value.__cause__ is None

    async def test_what_is_no_secret_is_malformed(self) -> None:
        """A bare text, or text that is not Unicode, is refused where it comes in."""

        class ReturnsText(Manager):
            async def get(self, name: str, version: str | None = None) -> Any:
                return "canary" if name == "TEXT" else Secret("canary\ud800", name=name)

        async with client_of(ReturnsText()) as client:
            for name in ("TEXT", "SURROGATE"):
                with pytest.raises(MalformedResponseError) as caught:
                    await client.get(name)
                assert "canary" not in "".join(traceback.format_exception(caught.value))

    async def test_errors_come_without_the_frames_of_the_provider(self) -> None:
        """A provider's frames have bodies among their locals; tracebacks that show locals must not see them."""

        class HasLocals(Manager):
            async def list(self, prefix: str = "") -> list[str]:
                body = "canary-body"
                raise UnavailableError("memory: down; is it running?", provider="memory") from KeyError(body)

        async with client_of(HasLocals(), retry=ONCE) as client:
            with pytest.raises(UnavailableError) as caught:
                await client.list()
        shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert "canary" not in shown


async def test_health_is_of_sources_and_not_of_names() -> None:
    """Names that callers choose do not make a source look ill; a manager that cannot be asked does."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager, retry=ONCE) as client:
        assert client.health().state == "fresh"
        with pytest.raises(SecretNotFoundError):
            await client.get("OTHER")
        assert client.health().state == "fresh"
        manager.failure = down
        with pytest.raises(UnavailableError):
            await client.get("NAME")
        assert (client.health().state, client.health().failing_sources) == ("degraded", ("default",))
        manager.failure = None
        await client.get("NAME")
        assert client.health().state == "fresh"
        manager.failure = lambda name: AuthenticationError("memory: log in again", provider="memory", name=name)
        with pytest.raises(AuthenticationError):
            await client.list()
        assert client.health().failing_sources == ("default",)


async def test_nothing_that_a_client_says_of_itself_shows_a_value() -> None:
    """status, health, explain, repr and vars of what they return."""
    manager = Manager({"NAME": "canary-value", "ALL": '{"member":"canary-member"}'})
    async with client_of(manager, {"ENV": "canary-env"}, retry=ONCE) as client:
        await client.get_many(["NAME", "ENV", "secret:///ALL?field=member"])
        said = [
            client.status(),
            client.health(),
            client.explain("NAME"),
            client.explain("ENV"),
            client.explain("NONE"),
            client,
        ]
        assert "canary" not in repr(said) + str(said)
        assert client.explain("ENV").answered_by == "environment"
        assert (client.explain("NAME").answered_by, client.explain("NAME").version) == ("default", "1")
        assert not client.explain("NONE").warm
        with pytest.raises(ConfigError):
            client.explain("secret://nowhere/NAME")
        rows = {row.name: row for source in client.status() for row in source.secrets}
        assert rows["NAME"].state == "fresh"
        assert rows["NAME"].age >= 0
        assert rows["ENV"].answered_by == "environment"


async def test_remarks_of_a_provider_stand_in_the_status() -> None:
    """What it says of itself that is no error; nothing of one that says nothing, or is not built."""
    manager: Any = Manager({"NAME": "canary"})
    async with client_of(manager) as client:
        (status,) = [status for status in client.status() if status.name == "default"]
        assert status.remarks == ()
        manager.remarks = ("1 answer could not be checked",)
        (status,) = [status for status in client.status() if status.name == "default"]
        assert (status.remarks, status.state) == (("1 answer could not be checked",), "unknown")
    unbuilt = SecretsClient.from_config({"general_settings": {"key_management_system": "memory"}})
    assert all(status.remarks == () for status in unbuilt.status())


async def test_peek_is_what_was_read_under_this_very_reference() -> None:
    """And nothing for what was not, or is none."""
    async with client_of(Manager({"NAME": "canary"})) as client:
        assert client.peek("NAME") is None
        await client.get("NAME")
        assert value(client.peek("NAME")) == "canary"
        assert client.peek("os.environ/NAME") is None
        assert client.peek("") is None
        client.invalidate("NAME")
        assert client.peek("NAME") is None


async def test_the_dotenv_file_is_live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What stands in from .env is what the file says now, not what it said at the start."""
    monkeypatch.chdir(tmp_path)
    async with SecretsClient.from_provider(Manager(), negative_ttl=0.0) as client:
        with pytest.raises(SecretNotFoundError):
            await client.get("CANARY_LATE")
        (tmp_path / ".env").write_text("CANARY_LATE=canary-late\n")
        assert value(await client.get("CANARY_LATE")) == "canary-late"
