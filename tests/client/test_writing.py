"""Writing: seen by the next read, in order, decided when in doubt, refused before anything is sent."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import (
    AccessDeniedError,
    AccessModeError,
    ClosedError,
    ConfigError,
    ConflictError,
    DecodeError,
    InvalidNameError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.providers.base import Provider
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import (
    ONCE,
    FieldManager,
    Manager,
    client_of,
    denied,
    in_virtual_time,
    settled,
    value,
    virtual_client,
)

FORMS = ["NAME", "os.environ/NAME", "secret://default/NAME", "secret:///NAME"]


async def test_a_write_is_seen_by_the_next_read_in_every_form() -> None:
    """Without a call of the manager, under each reference that was warm, and as text."""
    manager = Manager({"NAME": "canary-1"})
    async with client_of(manager) as client:
        await client.get_many(FORMS)
        manager.calls.clear()
        written = await client.put("NAME", "canary-2")
        assert (written.reveal(), written.version, written.source) == ("canary-2", "2", "default")
        for form in FORMS:
            assert value(client.peek(form)) == "canary-2"
            assert client.texts[form] == "canary-2"
            assert value(await client.get(form)) == "canary-2"
    assert manager.calls == [("put", "NAME")]


async def test_a_write_is_seen_by_every_field() -> None:
    """Views of members follow, and those that are gone are warm no more."""
    manager = Manager({"NAME": '{"a":"canary-a1","b":"canary-b1"}'})
    async with client_of(manager, retry=ONCE) as client:
        a, b = "secret:///NAME?field=a", "secret:///NAME?field=b"
        await client.get_many([a, b])
        await client.put("NAME", '{"a":"canary-a2"}')
        assert value(client.peek(a)) == "canary-a2"
        assert client.peek(b) is None
        with pytest.raises(DecodeError):
            await client.get(b)


async def test_a_write_where_values_are_members() -> None:
    """With a default field, put takes the value and get gives it back."""

    class Objects(FieldManager):
        async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
            return await super().put(name, '{"key":"' + str(payload) + '"}', cas=cas, token=token)

    async with client_of(Objects()) as client:
        assert value(await client.put("NAME", "canary-1")) == "canary-1"
        assert value(await client.get("NAME")) == "canary-1"


async def test_labels_are_asked_for_anew_after_a_write() -> None:
    """A version can be a label that moves with every write: what is cached of versions is forgotten."""
    manager = Manager({"NAME": "canary-1"})
    async with client_of(manager) as client:
        await client.get("NAME", version="1")
        await client.put("NAME", "canary-2")
        manager.calls.clear()
        assert value(await client.get("NAME", version="1")) == "canary-1"
        assert manager.calls == [("get", "NAME")]


async def test_a_secret_with_two_names() -> None:
    """A write under one of them is seen under the other, versions included; other secrets stay as they are."""

    class TwoNames(Manager):
        def same_secret(self, name: str, other: str) -> bool:
            return name.removeprefix("arn:") == other.removeprefix("arn:")

        async def get(self, name: str, version: str | None = None) -> Secret:
            return await super().get(name.removeprefix("arn:"), version)

    manager = TwoNames({"NAME": "canary-1", "OTHER": "canary-other"})
    async with client_of(manager) as client:
        for name in ("arn:NAME", "NAME", "OTHER"):
            await client.get(name)
        await client.get("arn:NAME", version="1")
        await client.put("NAME", "canary-2")
        manager.calls.clear()
        assert value(await client.get("arn:NAME")) == "canary-2"
        await client.get("arn:NAME", version="1")
        assert value(await client.get("NAME")) == "canary-2"
        await client.get("OTHER")
        assert manager.calls == [("get", "NAME"), ("get", "NAME")]
        await client.delete("NAME")
        with pytest.raises(SecretNotFoundError):
            await client.get("arn:NAME")


async def test_a_write_overtakes_a_flight() -> None:
    """A read that was sent before the write and answered after it never brings the old value back."""
    manager = Manager({"NAME": "canary-1"})
    gate = asyncio.Event()

    class AnswersLate(Manager):
        async def get(self, name: str, version: str | None = None) -> Secret:
            secret = await super().get(name, version)
            await gate.wait()
            return secret

    manager = AnswersLate({"NAME": "canary-1"})
    async with client_of(manager) as client:
        reader = asyncio.create_task(client.get("NAME"))
        await settled()
        await client.put("NAME", "canary-2")
        assert value(await reader) == "canary-2"
        gate.set()
        await settled()
        assert value(await client.get("NAME")) == "canary-2"


async def test_writes_of_one_name_keep_their_order() -> None:
    """The second waits for the first, whatever becomes of its caller; another name does not wait."""
    manager = Manager()
    manager.gate = asyncio.Event()
    async with client_of(manager) as client:
        first = asyncio.create_task(client.put("NAME", "canary-1"))
        second = asyncio.create_task(client.put("NAME", "canary-2"))
        third = asyncio.create_task(client.delete("OTHER"))
        await settled()
        assert manager.calls == [("put", "NAME"), ("delete", "OTHER")]
        first.cancel()
        await settled()
        manager.gate.set()
        await asyncio.gather(second, third)
        assert value(await client.get("NAME")) == "canary-2"
    assert [call for call in manager.calls if call[1] == "NAME"] == [("put", "NAME")] * 2
    assert first.cancelled()


async def test_a_write_that_fails_leaves_what_was_there() -> None:
    """A refused write changes nothing, here or there; neither does a refused delete."""
    manager = Manager({"NAME": "canary-1"})
    async with client_of(manager, retry=ONCE) as client:
        await client.get("NAME")
        manager.failure = denied
        with pytest.raises(AccessDeniedError):
            await client.put("NAME", "canary-2")
        with pytest.raises(AccessDeniedError):
            await client.delete("NAME")
        assert value(client.peek("NAME")) == "canary-1"


async def test_a_cancelled_caller_leaves_the_write_to_finish() -> None:
    """And what it wrote is what is read."""
    manager = Manager({"NAME": "canary-1"})
    async with client_of(manager) as client:
        await client.get("NAME")
        manager.gate = asyncio.Event()
        writer = asyncio.create_task(client.put("NAME", "canary-2"))
        await settled()
        writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writer
        manager.gate.set()
        await settled()
        assert value(client.peek("NAME")) == "canary-2"


async def test_what_is_deleted_for_good_is_not_doubted() -> None:
    """Where nothing can be restored, *absent* is no answer of somebody who lags: it is asked for once, and believed.

    What is made anew begins with the first version, and is what was written here.
    """

    class ForGood(Manager):
        deletes_for_good = True

        async def delete(self, name: str) -> None:
            self.remove(name)

    manager = ForGood()
    async with client_of(manager) as client:
        for number in range(3):
            await client.put("NAME", f"canary-{number}")
        await client.delete("NAME")
        manager.calls.clear()
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME")
        assert manager.calls == [("get", "NAME")]
        await client.put("NAME", "canary-anew")
        assert (await client.refresh("NAME")).version == "1"


async def test_a_deleted_secret_is_gone_at_once() -> None:
    """Every view and version of it; deleting what is absent is no error."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager) as client:
        await client.get_many(FORMS)
        await client.get("NAME", version="1")
        await client.delete("NAME")
        await client.delete("NEVER")
        assert client.texts == {}
        for form in FORMS:
            with pytest.raises(SecretNotFoundError) as caught:
                await client.get(form)
            assert caught.value.reason == "deleted"
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME", version="1")


async def test_an_absent_name_is_there_as_soon_as_it_is_written() -> None:
    """That it was absent a moment ago is not believed any more; a variable that stood in does no longer."""
    async with client_of(Manager(), {"STOOD": "canary-env"}) as client:
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME")
        assert value(await client.get("STOOD")) == "canary-env"
        await client.put("NAME", "canary")
        await client.put("STOOD", "canary-manager")
        assert value(await client.get("NAME")) == "canary"
        assert value(await client.get("STOOD")) == "canary-manager"


class TestAccessMode:
    """What a mode forbids is refused with no call at all."""

    READS = ("get", "refresh", "list", "versions")
    WRITES = ("put", "delete")

    @pytest.mark.parametrize("mode", ["read_only", "write_only", "read_and_write"])
    @pytest.mark.parametrize("operation", READS + WRITES)
    async def test_every_operation_under_every_mode(self, operation: str, mode: str) -> None:
        """Reads of a write_only source and writes of a read_only one."""
        manager = Manager({"NAME": "canary"})
        forbidden = mode == ("write_only" if operation in self.READS else "read_only")
        async with client_of(manager, access_mode=mode) as client:
            calls = {
                "get": lambda: client.get("NAME", source="default"),
                "refresh": lambda: client.refresh("NAME", source="default"),
                "list": client.list,
                "versions": lambda: client.versions("NAME"),
                "put": lambda: client.put("NAME", "canary-new"),
                "delete": lambda: client.delete("NAME"),
            }
            if forbidden:
                with pytest.raises(AccessModeError, match=r"access_mode|read_and_write"):
                    await calls[operation]()
                assert manager.calls == []
            else:
                await calls[operation]()
                assert manager.calls

    async def test_what_is_written_and_never_read_is_not_kept(self) -> None:
        """A write_only source's cache stays empty: nothing would be renewed that may not be read."""
        async with client_of(Manager(), access_mode="write_only") as client:
            await client.put("NAME", "canary")
            assert len(client._sources["default"].cache) == 0


@pytest.mark.parametrize("payload", [None, 1, True, bytearray(b"canary"), ["canary"], {"canary": 1}, "canary\ud800"])
async def test_payloads_that_no_store_could_give_back(payload: object) -> None:
    """Refused before anything is sent; the error and its traceback's locals do not show them."""
    manager = Manager()
    async with client_of(manager) as client:
        with pytest.raises(DecodeError, match="'NAME'") as caught:
            await client.put("NAME", payload)  # type: ignore[arg-type]
    assert manager.calls == []
    assert "canary" not in _locals_of_ours(caught.value)


@pytest.mark.parametrize("payload", ["", " canary\n", "\x00canary", b"", b"\xff\x00canary", "é" * 70_000])
async def test_payloads_come_back_as_they_are(payload: Payload) -> None:
    """Empty, blank, binary, large."""
    async with client_of(Manager()) as client:
        await client.put("NAME", payload)
        secret = await client.get("NAME")
        assert secret.is_binary == isinstance(payload, bytes)
        assert secret.equals(payload)


async def test_a_failed_write_shows_its_value_nowhere() -> None:
    """Not in the error, nor among the locals of our frames in its traceback."""
    manager = Manager()
    manager.failure = denied
    async with client_of(manager, retry=ONCE) as client:
        with pytest.raises(AccessDeniedError) as caught:
            await client.put("NAME", "canary-written")
    assert "canary" not in str(caught.value)
    assert "canary" not in _locals_of_ours(caught.value)


def _locals_of_ours(error: BaseException) -> str:
    shown = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "asyncsecrets" in frame.f_code.co_filename:
            shown.append(repr(frame.f_locals))
    assert shown
    return "".join(shown)


async def test_cas_is_handed_on() -> None:
    """It decides at the manager; what was cached is not believed after a conflict."""
    manager = Manager({"NAME": "canary-1"})
    async with client_of(manager) as client:
        assert value(await client.get("NAME")) == "canary-1"
        manager.set("NAME", "canary-2")
        with pytest.raises(ConflictError):
            await client.put("NAME", "canary-mine", cas="1")
        assert value(await client.get("NAME")) == "canary-2"  # read again to decide anew
        assert (await client.put("NAME", "canary-3", cas="2")).version == "3"
        with pytest.raises(ConflictError):
            await client.put("NAME", "canary-4", cas="0")


class Ambiguous(Manager):
    """Fails in the middle of a write: before it is applied, or after. ``script`` says which, one word a write."""

    def __init__(self, *script: str, **secrets: Payload) -> None:
        super().__init__(secrets)
        self.script = list(script)
        self.tokens: list[str] = []

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        self.tokens.append(token)
        word = self.script.pop(0) if self.script else "ok"
        if word == "lost":
            self.calls.append(("put", name))
        else:
            written = await super().put(name, payload, cas=cas, token=token)
            if word == "ok":
                return written
        if word == "overwritten":
            self.set(name, "canary-theirs")
        raise UnavailableError("memory: no answer", provider="memory", name=name, outcome_unknown=True)

    async def delete(self, name: str) -> None:
        word = self.script.pop(0) if self.script else "ok"
        if word != "lost":
            await super().delete(name)
        if word != "ok":
            raise UnavailableError("memory: no answer", provider="memory", name=name, outcome_unknown=True)


class TestUnknownOutcome:
    """A write that was sent and not answered is read back and decided."""

    async def test_it_was_applied(self) -> None:
        """Then it is done, and not made again."""
        manager = Ambiguous("applied", NAME="canary-1")
        async with client_of(manager) as client:
            assert (await client.put("NAME", "canary-2")).version == "2"
            assert value(await client.get("NAME")) == "canary-2"
        assert [operation for operation, _ in manager.calls] == ["put", "get"]

    async def test_it_was_not_applied(self) -> None:
        """The version from before is still there: it is made again, under the same token."""
        manager = Ambiguous("lost", NAME="canary-1")
        async with client_of(manager) as client:
            await client.get("NAME")
            assert (await client.put("NAME", "canary-2")).version == "2"
        assert len(manager.tokens) == 2
        assert len(set(manager.tokens)) == 1
        assert manager.tokens[0]

    async def test_it_was_not_applied_twice(self) -> None:
        """Then it is said that nobody knows, and what was read back is served."""
        manager = Ambiguous("lost", "lost", NAME="canary-1")
        async with client_of(manager) as client:
            await client.get("NAME")
            with pytest.raises(WriteOutcomeUnknownError, match="'NAME'") as caught:
                await client.put("NAME", "canary-2")
            assert value(await client.get("NAME")) == "canary-1"
            async with asyncio.timeout(10):  # the fourth: the write may still come
                while manager.calls.count(("get", "NAME")) < 4:
                    await asyncio.sleep(0.01)
        assert caught.value.name == "NAME"
        assert "canary" not in str(caught.value)

    async def test_somebody_else_wrote_in_between(self) -> None:
        """Neither ours nor what was before: it is not made again over theirs."""
        manager = Ambiguous("overwritten", NAME="canary-1")
        async with client_of(manager) as client:
            await client.get("NAME")
            with pytest.raises(WriteOutcomeUnknownError):
                await client.put("NAME", "canary-2")
            assert value(await client.get("NAME")) == "canary-theirs"

    async def test_nobody_knows_what_was_before(self) -> None:
        """Nothing cached and no cas: a lost write is not made again on a guess."""
        manager = Ambiguous("lost", NAME="canary-1")
        async with client_of(manager) as client:
            with pytest.raises(WriteOutcomeUnknownError):
                await client.put("NAME", "canary-2")

    async def test_cas_tells_what_was_before(self) -> None:
        """ "0": nothing was there, and nothing is: it is made again."""
        async with client_of(Ambiguous("lost")) as client:
            assert (await client.put("NAME", "canary", cas="0")).version == "1"

    async def test_reading_back_fails(self) -> None:
        """Undecidable is said to be so, and is not retried blindly; readers have the old value, as in any outage."""
        manager = Ambiguous("applied", NAME="canary-1")
        async with client_of(manager, retry=ONCE) as client:
            await client.get("NAME")

            async def before(operation: str, name: str) -> None:
                if operation == "get":
                    raise denied(name)

            manager.before = before
            with pytest.raises(WriteOutcomeUnknownError):
                await client.put("NAME", "canary-2")
            assert value(await client.get("NAME")) == "canary-1"
            manager.before = None
            async with asyncio.timeout(10):
                while value(await client.get("NAME")) != "canary-2":
                    await asyncio.sleep(0.05)

    def test_our_own_deadline_leaves_it_unknown(self) -> None:
        """A write that took too long may have been applied: it is read back like any other."""

        class Slow(Manager):
            async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
                await super().put(name, payload, cas=cas, token=token)
                await asyncio.sleep(3600)
                raise AssertionError

        async def main(clock: VirtualClock) -> None:
            async with virtual_client(clock, Slow({"NAME": "canary-1"}), retry=RetryPolicy(deadline=5.0)) as client:
                await client.get("NAME")
                assert (await client.put("NAME", "canary-2")).version == "2"
                assert value(client.peek("NAME")) == "canary-2"

        in_virtual_time(main)

    async def test_a_foreign_exception_leaves_it_unknown(self) -> None:
        """What a provider should not raise says nothing of what the manager did."""
        manager = Ambiguous(NAME="canary-1")
        async with client_of(manager) as client:
            original = manager.put

            async def put(*args: object, **options: object) -> Secret:
                await original(*args, **options)  # type: ignore[arg-type]
                raise KeyError("canary")

            manager.put = put  # type: ignore[method-assign,assignment]
            assert (await client.put("NAME", "canary-2")).version == "2"

    @pytest.mark.parametrize(("script", "gone"), [(["applied"], True), (["lost"], True), (["lost", "lost"], False)])
    async def test_deleting(self, script: list[str], gone: bool) -> None:
        """The same for a delete: it is gone, or made again, or nobody knows."""
        manager = Ambiguous(*script, NAME="canary-1")
        async with client_of(manager) as client:
            await client.get("NAME")
            if gone:
                await client.delete("NAME")
                with pytest.raises(SecretNotFoundError):
                    await client.get("NAME")
            else:
                with pytest.raises(WriteOutcomeUnknownError):
                    await client.delete("NAME")
                assert value(await client.get("NAME")) == "canary-1"


class ReadsOnly:
    """The least that a provider is."""

    system = "least"
    default_field = None

    async def open(self) -> None: ...

    async def get(self, name: str, version: str | None = None) -> Secret:
        return Secret("canary", name=name)

    async def aclose(self) -> None: ...

    def abandon(self) -> None: ...


async def test_what_a_provider_cannot_do() -> None:
    """Writing, listing and versions of a provider that has none of them: UnsupportedOperationError naming it."""
    provider: Provider = ReadsOnly()  # type: ignore[assignment]
    async with client_of(provider) as client:  # type: ignore[arg-type]
        for operation in (client.put("NAME", "canary"), client.delete("NAME"), client.list(), client.versions("NAME")):
            with pytest.raises(UnsupportedOperationError, match="least"):
                await operation
        assert value(await client.get("NAME")) == "canary"


async def test_a_write_that_is_cut_off_by_closing_says_so() -> None:
    """A write that does not end within the time that closing has: ClosedError, outcome unknown."""
    manager = Manager()
    client = client_of(manager)
    manager.gate = asyncio.Event()
    writer = asyncio.create_task(client.put("NAME", "canary"))
    await settled()
    started = asyncio.get_running_loop().time()
    await client.aclose()
    assert asyncio.get_running_loop().time() - started < 2.2
    with pytest.raises(ClosedError, match="not known"):
        await writer


async def test_wrong_arguments_are_told_as_such() -> None:
    """A version is text, and so is a name; a list of names is not one string."""
    async with client_of(Manager({"NAME": "canary"})) as client:
        with pytest.raises(ConfigError, match="cas is a version as text"):
            await client.put("NAME", "canary-2", cas=2)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="is text, not int"):
            await client.get("NAME", version=1)  # type: ignore[arg-type]
        with pytest.raises(InvalidNameError, match="is text, not NoneType"):
            await client.get(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not one string"):
        SecretsClient.from_provider(Manager(), hosted_keys="NAME")


async def test_a_bug_of_a_provider_is_told_as_such() -> None:
    """Its outcome is unknown too, but what failed is not the network."""

    class Broken(Manager):
        async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
            raise AttributeError("canary")

    async with client_of(Broken({"NAME": "canary"})) as client:
        with pytest.raises(WriteOutcomeUnknownError, match="failed with AttributeError"):
            await client.put("NAME", "canary-2")
