"""What the changes beside a put do: deleting versions, restoring, destroying, patching, rotating, metadata."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from asyncsecrets.errors import (
    AsyncSecretsError,
    ConflictError,
    ProviderError,
    SecretNotFoundError,
    UnsupportedOperationError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.testing.conformance.cases import FAULT_ERRORS, REFUSED, UNANSWERED
from asyncsecrets.testing.conformance.harness import CANARY, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    destroyer_of,
    expect_absent,
    expect_error,
    expect_value,
    metadata_keeper_of,
    needs,
    patcher_of,
    possible,
    put,
    restorer_of,
    rotator_of,
    scenario,
    version_deleter_of,
    writer_of,
)
from asyncsecrets.testing.conformance.watch import expect, raised

__all__ = ["Changing", "changes_of"]

_CHANGED: Final = ("reset", "denied")


class Changing:
    """What the changes beside a put do."""

    @scenario
    async def test_restore(self, harness: ProviderHarness) -> None:
        """What was deleted is back as it was; again it is no error; what never was is SecretNotFoundError, and so is
        what was deleted where that is for good."""
        name, restorer = harness.name("Restore"), restorer_of(harness)
        stored = await put(harness, name, CANARY)
        await writer_of(harness).delete(name)
        if getattr(harness.provider, "deletes_for_good", False):
            await expect_error(harness, name, restorer.restore(name), SecretNotFoundError)
            return
        await possible(restorer.restore(name))
        back = await expect_value(harness, name, CANARY)
        expect(back.version == stored.version, "the restored secret has another version")
        await restorer.restore(name)
        await expect_value(harness, name, CANARY)
        missing = harness.name("RestoreMissing")
        await expect_error(harness, missing, restorer.restore(missing), SecretNotFoundError)

    @scenario
    async def test_restore_versions(self, harness: ProviderHarness) -> None:
        """The versions that are given are back, and no other one."""
        name, restorer, deleter = harness.name("RestoreVersions"), restorer_of(harness), version_deleter_of(harness)
        first, second = await _two_versions(harness, name)
        await possible(deleter.delete_versions(name, [first, second]))
        await possible(restorer.restore(name, [first]))
        await expect_value(harness, name, f"{CANARY} first", first)
        await expect_error(harness, name, harness.provider.get(name, second), SecretNotFoundError)
        gone = restorer.restore(name, [second, harness.unknown_version])
        await expect_error(harness, name, gone, SecretNotFoundError)
        await expect_error(harness, name, harness.provider.get(name, second), SecretNotFoundError)

    @scenario
    async def test_delete_versions(self, harness: ProviderHarness) -> None:
        """A deleted version is SecretNotFoundError and the current one stays; absent ones, or again, are no error."""
        name, deleter = harness.name("DeleteVersions"), version_deleter_of(harness)
        first, second = await _two_versions(harness, name)
        await possible(deleter.delete_versions(name, [first]))
        error = await expect_error(harness, name, harness.provider.get(name, first), SecretNotFoundError)
        expect(error.reason in {"deleted", "disabled"}, f"the reason is {error.reason!r}, not 'deleted' or 'disabled'")
        await deleter.delete_versions(name, [first, harness.unknown_version])
        await expect_value(harness, name, f"{CANARY} second", second)
        await deleter.delete_versions(harness.name("DeleteVersionsMissing"), [first])

    @scenario
    async def test_destroy(self, harness: ProviderHarness) -> None:
        """What is destroyed is gone, deleted before or not, and does not come back; absent, or again, is no error."""
        destroyer = destroyer_of(harness)
        for stem in ("Destroy", "DestroyDeleted"):
            name = harness.name(stem)
            await put(harness, name, CANARY)
            if stem == "DestroyDeleted":
                await writer_of(harness).delete(name)
            await possible(destroyer.destroy(name))
            await expect_absent(harness, name)
            await destroyer.destroy(name)
            if "restore" in changes_of(harness, name):
                await raised(restorer_of(harness).restore(name), SecretNotFoundError, UnsupportedOperationError)
            await expect_absent(harness, name)
        await destroyer.destroy(harness.name("DestroyMissing"))

    @scenario
    async def test_destroy_versions(self, harness: ProviderHarness) -> None:
        """Of the versions that are given the values are gone for good, and the current one stays."""
        name, destroyer = harness.name("DestroyVersions"), destroyer_of(harness)
        first, second = await _two_versions(harness, name)
        await possible(destroyer.destroy(name, [first]))
        await destroyer.destroy(name, [first])
        if "restore" in changes_of(harness, name):
            await expect_error(harness, name, restorer_of(harness).restore(name, [first]), SecretNotFoundError)
        error = await expect_error(harness, name, harness.provider.get(name, first), SecretNotFoundError)
        expect(error.reason == "destroyed", f"the reason is {error.reason!r}, not 'destroyed'")
        await expect_value(harness, name, f"{CANARY} second", second)

    @scenario
    async def test_no_versions_given(self, harness: ProviderHarness) -> None:
        """An empty list of versions is refused or does nothing: it never means the secret as a whole."""
        name, provider = harness.name("NoVersions"), harness.provider
        wanted = ("delete_versions", "destroy", "restore")
        calls = [getattr(provider, operation) for operation in wanted if operation in changes_of(harness, name)]
        if not calls:
            pytest.skip(f"{provider.system} neither deletes versions nor restores nor destroys")
        await put(harness, name, CANARY)
        for call in calls:
            with contextlib.suppress(AsyncSecretsError):
                await call(name, [])
            await expect_value(harness, name, CANARY)

    @scenario
    async def test_patch(self, harness: ProviderHarness) -> None:
        """A patch merges as RFC 7396 says, and leaves alone what it does not name."""
        name, patcher = harness.name("Patch"), patcher_of(harness)
        members = await _seed_object(harness, name)
        added = {"b": f"{CANARY} b", "deep": {"x": f"{CANARY} x", "y": [f"{CANARY} y", 1]}}
        await possible(patcher.patch(name, added))
        version = await patcher.patch(name, {"b": None, "deep": {"x": None}, "never": None})
        secret = await harness.provider.get(name)
        expect(secret.version == version, "patch returns another version than it made")
        wanted = {**members, "deep": {"y": added["deep"]["y"]}}  # type: ignore[index]  # a dict it is
        expect(json.loads(secret.reveal()) == wanted, "the object is not what the patch should have made of it")
        missing = harness.name("PatchMissing")
        await expect_error(harness, missing, patcher.patch(missing, {"a": CANARY}), SecretNotFoundError)

    @scenario
    async def test_patch_compare_and_set(self, harness: ProviderHarness) -> None:
        """A patch with ``cas`` is made to that version, or is ConflictError and changes nothing."""
        name, patcher = harness.name("PatchCas"), patcher_of(harness)
        await _seed_object(harness, name)
        first = await possible(patcher.patch(name, {"a": f"{CANARY} first"}))
        second = await possible(patcher.patch(name, {"a": f"{CANARY} second"}, cas=first))
        lost = patcher.patch(name, {"a": f"{CANARY} lost"}, cas=first)
        await expect_error(harness, name, lost, ConflictError)
        secret = await harness.provider.get(name)
        expect(secret.version == second, "a patch that was refused made a version")
        expect(secret.field("a").equals(f"{CANARY} second"), "a patch that was refused changed something")

    @scenario
    async def test_rotate(self, harness: ProviderHarness) -> None:
        """A rotation that was begun has the version that it will make; what never was is SecretNotFoundError."""
        name, rotator = harness.name("Rotate"), rotator_of(harness)
        before = await harness.seed(name, CANARY)
        await harness.allow_rotation(name)
        version = await rotator.rotate(name, token=secrets.token_hex(16))
        expect(isinstance(version, str) and version not in ("", before), "rotate does not return a new version")
        missing = harness.name("RotateMissing")
        call = rotator.rotate(missing, token=secrets.token_hex(16))
        await expect_error(harness, missing, call, SecretNotFoundError)

    @scenario
    async def test_metadata(self, harness: ProviderHarness) -> None:
        """Metadata is read as it was written, and leaves the value alone."""
        name, keeper = harness.name("Metadata"), metadata_keeper_of(harness)
        stored = [await harness.seed(name, f"{CANARY} {number}") for number in range(2)]
        found = await possible(keeper.metadata(name))
        expect(found.current_version == stored[-1], "the current version is not the newest one")
        expect([info.version for info in found.versions] == stored, "the versions are not those stored, oldest first")
        await keeper.write_metadata(name, custom={"team": "a"})
        found = await keeper.metadata(name)
        expect(dict(found.custom) == {"team": "a"}, "the custom metadata is not what was written")
        await keeper.write_metadata(name, custom={})
        expect(dict((await keeper.metadata(name)).custom) == {}, "an empty mapping does not clear the custom metadata")
        expect(CANARY not in repr(found), "the metadata holds a value")
        await expect_value(harness, name, f"{CANARY} 1")
        missing = harness.name("MetadataMissing")
        await expect_error(harness, missing, keeper.metadata(missing), SecretNotFoundError)

    @scenario
    async def test_limits_in_metadata(self, harness: ProviderHarness) -> None:
        """What is set for versions is read as it was written; what is not given stays."""
        name, keeper = harness.name("Limits"), metadata_keeper_of(harness)
        await harness.seed(name, CANARY)
        await possible(keeper.write_metadata(name, custom={"team": "a"}))
        await possible(keeper.write_metadata(name, delete_version_after="720h", cas_required=True))
        await keeper.write_metadata(name, max_versions=5, cas_required=False)
        found = await keeper.metadata(name)
        kept = (dict(found.custom), found.max_versions, found.cas_required)
        expect(kept == ({"team": "a"}, 5, False), "the metadata is not what was written")
        expect((found.delete_version_after or "").startswith("720h"), "delete_version_after is not what was written")

    @pytest.mark.parametrize("kind", _CHANGED)
    @scenario
    async def test_fault_in_a_change(self, harness: ProviderHarness, kind: str) -> None:
        """A change that was sent and not answered says that its outcome is unknown; one that was refused does not."""
        needs(harness, kind)
        name = harness.name("ChangeFault")
        await put(harness, name, CANARY)
        made = 0
        for operation, change in changes_of(harness, name).items():
            if operation in harness.looks_first or await _unsupported(change):
                continue
            await put(harness, name, CANARY)
            async with harness.fault(kind):
                error = await expect_error(harness, name, change(), FAULT_ERRORS[kind], WriteOutcomeUnknownError)
            _check_outcome(error, kind, operation)
            made += 1
        if not made:
            pytest.skip(f"{harness.provider.system} makes no changes beside put and delete")


def changes_of(harness: ProviderHarness, name: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """The changes that the provider has methods for, each ready to be made to ``name``."""
    provider: Any = harness.provider
    arguments: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "delete_versions": (([harness.unknown_version],), {}),
        "restore": ((), {}),
        "patch": (({"conformance": CANARY},), {}),
        "write_metadata": ((), {"custom": {"team": "a"}}),
        "destroy": ((), {}),
    }
    if harness.rotates:
        arguments["rotate"] = ((), {"token": secrets.token_hex(16)})

    def change(operation: str) -> Callable[[], Awaitable[Any]]:
        positional, keywords = arguments[operation]
        return lambda: getattr(provider, operation)(name, *positional, **keywords)

    return {operation: change(operation) for operation in arguments if callable(getattr(provider, operation, None))}


async def _unsupported(change: Callable[[], Awaitable[Any]]) -> bool:
    """Whether a method is there that the backend, as it is set up, has nothing for."""
    try:
        await change()
    except UnsupportedOperationError:
        return True
    except ProviderError:
        pass
    return False


def _check_outcome(error: ProviderError, kind: str, operation: str) -> None:
    unknown = error.outcome_unknown or isinstance(error, WriteOutcomeUnknownError)
    expect(unknown or kind not in UNANSWERED, f"{operation}: sent and not answered, and reported as failed")
    expect(not unknown or kind not in REFUSED, f"{operation}: refused, and reported as perhaps applied")


async def _two_versions(harness: ProviderHarness, name: str) -> tuple[str, str]:
    """Store two versions; skip where there are none."""
    first, second = [await harness.seed(name, f"{CANARY} {which}") for which in ("first", "second")]
    if first is None or second is None:
        pytest.skip(f"{harness.provider.system} keeps no versions")
    return first, second


async def _seed_object(harness: ProviderHarness, name: str) -> dict[str, str]:
    """Store a JSON object, and return its members."""
    field = harness.provider.default_field
    members = {"a" if field is None else field: CANARY}
    await harness.seed(name, json.dumps(members) if field is None else CANARY)
    return members
