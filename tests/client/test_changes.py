"""Deleting versions, restoring, destroying, rotating, patching, metadata, encrypting: through the client."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets import registry
from asyncsecrets.errors import (
    AccessDeniedError,
    AccessModeError,
    ClosedError,
    ConfigError,
    ConflictError,
    DecodeError,
    MissingDependencyError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import (
    Destroyer,
    Encrypter,
    MetadataKeeper,
    Patcher,
    Restorer,
    Rotator,
    VersionDeleter,
)
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.redaction import RedactionFilter, mask
from asyncsecrets.redaction.known import known
from asyncsecrets.secret import MASK, Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.able import CHANGES, Able, operations
from tests.client.support import ONCE, client_of, denied, in_virtual_time, settled, value, virtual_client

RARE = (Destroyer, Encrypter, MetadataKeeper, Patcher, Restorer, Rotator, VersionDeleter)
"""What some managers can and others cannot, as a message says."""


async def test_what_a_patch_brings_is_masked() -> None:
    """Also a word that is masked only where somebody has handed it out, and also where the patch fails."""
    known.clear()  # a value of another test may overlap with this one
    RedactionFilter()
    manager = Able("denied", NAME='{"a": "canary-1"}')
    async with client_of(manager) as client:
        with pytest.raises(AccessDeniedError):
            await client.patch("NAME", {"b": "canarybird"})
    assert mask("it is canarybird") == f"it is {MASK}"


async def test_what_is_deleted_and_restored_is_so_for_the_next_read() -> None:
    """As a whole and by versions, without waiting for what was cached, values and absences alike."""
    manager = Able(NAME="canary-1")
    async with client_of(manager) as client:
        await client.put("NAME", "canary-2")
        await client.get("NAME")
        await client.delete("NAME")
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME")
        await client.restore("NAME")
        assert value(await client.get("NAME")) == "canary-2"
        assert value(await client.get("NAME", version="1")) == "canary-1"
        await client.delete("NAME", versions=["1", "1"])
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME", version="1")
        assert value(await client.get("NAME")) == "canary-2"
        await client.restore("NAME", versions=iter(["1"]))
        assert value(await client.get("NAME", version="1")) == "canary-1"


async def test_what_is_destroyed_is_gone() -> None:
    """A version, or all; the manager is asked again, and says so."""
    async with client_of(Able(NAME="canary-1")) as client:
        await client.put("NAME", "canary-2")
        await client.get("NAME")
        await client.destroy("NAME", versions=["2"])
        assert client.texts == {}
        with pytest.raises(SecretNotFoundError) as caught:
            await client.get("NAME")
        assert caught.value.reason == "destroyed"
        assert value(await client.get("NAME", version="1")) == "canary-1"
        await client.destroy("NAME")
        with pytest.raises(SecretNotFoundError) as caught:
            await client.get("NAME")
        assert caught.value.reason == "absent"


@pytest.mark.parametrize("versions", [[], (), "12", [1], [""], iter([])])
async def test_no_versions_never_means_all_of_them(versions: Any) -> None:
    """No versions, and what is none, are refused before anything is sent."""
    manager = Able(NAME="canary")
    async with client_of(manager) as client:
        listed = list(versions) if not isinstance(versions, str | list | tuple) else versions
        for call in (client.delete, client.restore, client.destroy):
            with pytest.raises(ConfigError, match="version"):
                await call("NAME", versions=listed)
    assert manager.calls == []


async def test_a_rotation_is_begun_and_the_old_value_served() -> None:
    """The version-to-be is returned, with a token of its own; the new value is read without being asked for."""
    manager = Able(NAME="canary-1")
    async with client_of(manager) as client:
        await client.get("NAME")
        manager.gate = asyncio.Event()
        rotating = asyncio.create_task(client.rotate("NAME"))
        await settled()
        assert value(client.peek("NAME")) == "canary-1"
        manager.gate.set()
        assert await rotating == "2"
        async with asyncio.timeout(10):
            while value(await client.get("NAME")) != "canary-rotated-1":
                await asyncio.sleep(0.01)
        await client.rotate("NAME")
    assert len(set(manager.tokens)) == 2
    assert all(manager.tokens)


def test_a_rotation_that_takes_its_time_is_noticed() -> None:
    """The manager is asked ever more seldom until the version is there that it promised, and then no more."""

    async def main(clock: VirtualClock) -> None:
        manager = Able(NAME="canary-1")
        manager.rotates = False
        client = virtual_client(clock, manager, refresh_interval=10_000.0)
        async with client:
            await client.get("NAME")
            promised = await client.rotate("NAME")
            await asyncio.sleep(20.0)
            assert value(client.peek("NAME")) == "canary-1"
            manager.set("NAME", "canary-2")
            await asyncio.sleep(20.0)
            assert (value(client.peek("NAME")), promised) == ("canary-2", "2")
            asked = len(manager.calls)
            await asyncio.sleep(5_000.0)
            assert len(manager.calls) == asked <= 10

    in_virtual_time(main)


async def test_a_patch_changes_what_it_names() -> None:
    """It returns the whole object as it then is, and the next read sees it with no further call."""
    manager = Able(NAME='{"a": "canary-a", "b": "canary-b"}')
    async with client_of(manager) as client:
        await client.get_many(["NAME", "secret:///NAME?field=a"])
        manager.calls.clear()
        patched = await client.patch("NAME", {"a": "canary-new", "b": None, "c": {"deep": ["canary-c"]}}, cas="1")
        assert json.loads(patched.reveal()) == {"a": "canary-new", "c": {"deep": ["canary-c"]}}
        assert (patched.version, patched.source) == ("2", "default")
        assert value(await client.get("secret:///NAME?field=a")) == "canary-new"
        assert manager.calls == [("patch", "NAME"), ("get", "NAME")]
        manager.set("NAME", '{"a": "canary-theirs"}')
        with pytest.raises(ConflictError):
            await client.patch("NAME", {"a": "canary-lost"}, cas="2")
        assert value(await client.get("secret:///NAME?field=a")) == "canary-theirs"
        with pytest.raises(SecretNotFoundError):
            await client.patch("NEVER", {"a": "canary"})


async def test_a_patch_that_cannot_be_read_back_is_done_all_the_same() -> None:
    """The error says that it was applied, and the old value is not served any more."""
    manager = Able(NAME='{"a": "canary-a"}')
    async with client_of(manager, retry=ONCE) as client:
        await client.get("NAME")

        async def before(operation: str, name: str) -> None:
            if operation == "get":
                raise denied(name)

        manager.before = before
        with pytest.raises(AccessDeniedError, match=r"was patched \(version 2\)"):
            await client.patch("NAME", {"a": "canary-new"})
        assert client.peek("NAME") is None
        manager.before = None
        assert (await client.get("NAME")).field("a").equals("canary-new")


@pytest.mark.parametrize(
    "changes",
    [None, [("a", "canary")], {1: "canary"}, {}, {"a": b"canary"}, {"a": float("nan")}, {"a": {"canary"}},
     {"a": "canary\ud800"}],
)  # fmt: skip
async def test_changes_that_no_patch_can_make(changes: Any) -> None:
    """Refused before anything is sent, shown nowhere."""
    manager = Able(NAME='{"a": "canary"}')
    async with client_of(manager) as client:
        with pytest.raises(DecodeError, match="'NAME'") as caught:
            await client.patch("NAME", changes)
    assert manager.calls == []
    assert "canary" not in _locals_of_ours(caught.value)
    assert caught.value.__context__ is None


async def test_a_failed_change_shows_its_value_nowhere() -> None:
    """Not in the error, nor among the locals of our frames in its traceback."""
    manager = Able(NAME='{"a": "canary-old"}')
    manager.failure = denied
    async with client_of(manager, retry=ONCE) as client:
        for call in (
            lambda: client.patch("NAME", {"a": "canary-patched", "deep": {"b": "canary-deep"}}),
            lambda: client.encrypt("canary-plaintext"),
        ):
            with pytest.raises(AccessDeniedError) as caught:
                await call()
            assert "canary" not in str(caught.value)
            assert "canary" not in _locals_of_ours(caught.value)


def _locals_of_ours(error: BaseException) -> str:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    shown = [repr(frame.f_locals) for frame in frames if "/asyncsecrets/" in frame.f_code.co_filename]
    assert shown
    return "".join(shown)


async def test_metadata() -> None:
    """Read, and changed where it is given; an older version may be gone then, the current one is not asked for."""
    manager = Able(NAME="canary")
    async with client_of(manager) as client:
        await client.get("NAME")
        await client.get("NAME", version="1")
        await client.write_metadata("NAME", custom={"team": "a"}, cas_required=False)
        assert manager.kept == {"custom": {"team": "a"}, "cas_required": False}
        found = await client.metadata("NAME")
        assert (found.current_version, found.custom, found.max_versions) == ("1", {"team": "a"}, None)
        manager.calls.clear()
        await client.get("NAME")
        await client.get("NAME", version="1")
        assert manager.calls == [("get", "NAME")]
        with pytest.raises(ConfigError, match="at least one of custom"):
            await client.write_metadata("NAME")
        with pytest.raises(ConfigError, match="text to text"):
            await client.write_metadata("NAME", custom={"n": 1})  # type: ignore[dict-item]


@pytest.mark.parametrize("mode", ["read_only", "write_only", "read_and_write"])
async def test_encrypting_stores_nothing(mode: str) -> None:
    """So no access_mode forbids it."""
    manager = Able()
    async with client_of(manager, access_mode=mode) as client:
        assert await client.encrypt("canary") == "sealed 6"
        assert await client.encrypt(b"\xff") == "sealed 1"
        with pytest.raises(DecodeError):
            await client.encrypt(1)  # type: ignore[arg-type]
    assert {operation for operation, _ in manager.calls} == {"encrypt"}


class TestRefused:
    """Before anything is sent."""

    @pytest.mark.parametrize("operation", CHANGES)
    async def test_by_the_access_mode(self, operation: str) -> None:
        """A source that is read only."""
        manager = Able(NAME="canary")
        async with client_of(manager, access_mode="read_only") as client:
            with pytest.raises(AccessModeError, match="read_and_write"):
                await operations(client)[operation]()
        assert manager.calls == []

    async def test_reading_where_only_writing_is_allowed(self) -> None:
        """Metadata is read, and a patch is read back."""
        manager = Able(NAME="canary")
        async with client_of(manager, access_mode="write_only") as client:
            for call in (client.metadata("NAME"), client.patch("NAME", {"a": "canary"})):
                with pytest.raises(AccessModeError, match="write_only"):
                    await call
        assert manager.calls == []

    @pytest.mark.parametrize("operation", CHANGES)
    async def test_by_the_environment(self, operation: str) -> None:
        """It is read only."""
        async with client_of(Able()) as client:
            with pytest.raises(UnsupportedOperationError, match="environment is read only"):
                await operations(client, "environment")[operation]()

    async def test_after_closing(self) -> None:
        """ClosedError, like everything else."""
        client = client_of(Able())
        await client.aclose()
        calls = operations(client) | {"encrypt": lambda: client.encrypt("canary"), "m": lambda: client.metadata("X")}
        for call in calls.values():
            with pytest.raises(ClosedError):
                await call()


class Least(MemoryProvider):
    """Memory that can only read, put and delete."""

    system = "least"
    delete_versions = restore = destroy = None  # type: ignore[assignment]


async def test_a_manager_that_cannot() -> None:
    """The error names it, and those that can."""
    async with client_of(Least({"NAME": "canary"})) as client:
        calls = operations(client) | {
            "metadata": lambda: client.metadata("NAME"),
            "encrypt": lambda: client.encrypt("canary"),
        }
        for operation, call in calls.items():
            able = "aws_" if operation in {"rotate", "encrypt"} else "hashicorp_vault"
            with pytest.raises(UnsupportedOperationError, match=rf"^least .*\(managers that can: .*{able}"):
                await call()
        with pytest.raises(UnsupportedOperationError, match="least"):
            await client.restore("NAME", versions=["1"])
        assert value(await client.get("NAME")) == "canary"


@pytest.mark.parametrize("system", [system for system, entry in registry.BUILT_IN.items() if entry.target])
def test_the_managers_that_can(system: str) -> None:
    """What the registry, and so the message, says of the built-in managers is what their classes can."""
    try:
        provider = registry.load(system)
    except MissingDependencyError:
        pytest.skip(f"{system} is not installed")
    able = set()
    for protocol in RARE:
        # A class has the methods, and not always the instance's attributes.
        wanted = {name for name in vars(protocol) if not name.startswith("_") and callable(getattr(protocol, name))}
        if all(hasattr(provider, name) for name in wanted):
            able.add(protocol)
    assert able == set(registry.BUILT_IN[system].can)


def test_a_message_imports_no_sdk() -> None:
    """Which other managers can is known without importing them."""
    code = """if True:
        import asyncio, sys
        from asyncsecrets import SecretsClient
        from asyncsecrets.errors import UnsupportedOperationError
        from asyncsecrets.providers.memory import MemoryProvider

        async def main():
            async with SecretsClient.from_provider(MemoryProvider({"NAME": "canary"})) as client:
                try:
                    await client.rotate("NAME")
                except UnsupportedOperationError as error:
                    assert "(managers that can: aws_secret_manager)" in str(error), error
                    return
            raise AssertionError("it can")

        asyncio.run(main())
        assert not {"botocore", "aiohttp", "asyncsecrets.providers.aws"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


async def test_changes_of_one_name_wait_for_one_another() -> None:
    """In the order in which they were begun, puts and deletes included."""
    manager = Able(NAME="canary-1")
    manager.gate = asyncio.Event()
    async with client_of(manager) as client:
        tasks = [asyncio.create_task(call) for call in (
            client.delete("NAME"), client.restore("NAME"), client.destroy("NAME"), client.put("NAME", "canary-new"),
        )]  # fmt: skip
        await settled()
        assert manager.calls == [("delete", "NAME")]
        manager.gate.set()
        await asyncio.gather(*tasks)
        assert value(await client.get("NAME")) == "canary-new"
    assert [name for name, _ in manager.calls] == ["delete", "restore", "destroy", "put"]


async def test_a_change_overtakes_a_flight() -> None:
    """A read that was sent before the secret was destroyed, and answered after it, does not bring it back."""
    gate = asyncio.Event()

    class AnswersLate(Able):
        async def get(self, name: str, version: str | None = None) -> Secret:
            secret = await super().get(name, version)
            await gate.wait()
            return secret

    async with client_of(AnswersLate(NAME="canary-1")) as client:
        reader = asyncio.create_task(client.get("NAME"))
        await settled()
        await client.destroy("NAME")
        gate.set()
        await asyncio.wait({reader})
        assert isinstance(
            reader.exception(), SecretNotFoundError
        )  # what it read was true when it asked, and is no more
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME")


async def test_a_key_service_says_how_it_is_written_to() -> None:
    """It stores nothing: what it encrypts is put into the environment by somebody else."""

    class KeyService(Able):
        put = None  # type: ignore[assignment]

    async with client_of(KeyService()) as client:
        for call in (client.put("NAME", "canary"), client.delete("NAME")):
            with pytest.raises(UnsupportedOperationError, match="encrypt a value"):
                await call


def test_encrypters_need_not_be_told_apart() -> None:
    """A manager that keeps secrets is no key service."""
    assert isinstance(Able(), Encrypter)
    assert not isinstance(MemoryProvider(), Encrypter)


def test_the_managers_that_can_are_documented() -> None:
    """The reference page says of each operation what the message says."""
    page = (Path(__file__).parents[2] / "docs/reference/api.md").read_text()
    able = {p: [name for name, entry in registry.BUILT_IN.items() if p in entry.can] for p in RARE}
    listed = {frozenset(re.findall(r"`(\w+)`", row)) for row in re.findall(r"^\| `.*\| (.*) \|$", page, re.MULTILINE)}
    assert {frozenset(managers) for managers in able.values()} <= listed
