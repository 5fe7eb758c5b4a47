"""What lists hold."""

from __future__ import annotations

from asyncsecrets.errors import (
    SecretNotFoundError,
)
from asyncsecrets.testing.conformance.harness import CANARY, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    expect_error,
    lister_of,
    scenario,
    version_lister_of,
)
from asyncsecrets.testing.conformance.watch import expect


class Listing:
    """What lists hold."""

    @scenario
    async def test_list(self, harness: ProviderHarness) -> None:
        """A list has the full names that start with the prefix, sorted, and nothing where nothing is."""
        lister, names = lister_of(harness), sorted(harness.name(stem) for stem in ("ListB", "ListA", "ListAB"))
        for name in names:
            await harness.seed(name, CANARY)
        await harness.seed(harness.name("Other"), CANARY)
        expect(await lister.list(harness.name("List")) == names, "the list is not the sorted names under the prefix")
        expect(await lister.list(harness.name("ListA")) == names[:2], "a prefix is where a name starts, not a folder")
        expect(await lister.list(harness.name("Nothing")) == [], "where nothing is, the list is not empty")
        everything = await lister.list()
        expect(everything == sorted(everything), "the list is not sorted")
        expect({*names, harness.name("Other")} <= set(everything), "without a prefix, names are missing")

    @scenario
    async def test_versions(self, harness: ProviderHarness) -> None:
        """Versions are listed oldest first, one of them current; those of a missing secret are SecretNotFoundError."""
        lister, name = version_lister_of(harness), harness.name("Versions")
        stored = [await harness.seed(name, f"{CANARY} {number}") for number in range(3)]
        infos = await lister.versions(name)
        expect([info.version for info in infos] == stored, "the versions are not those stored, oldest first")
        expect([info.current for info in infos] == [False, False, True], "not exactly the newest version is current")
        expect(infos[-1].state == "enabled", "the current version is not enabled")
        expect(CANARY not in repr(infos), "a VersionInfo holds a value")
        missing = harness.name("VersionsMissing")
        await expect_error(harness, missing, lister.versions(missing), SecretNotFoundError)
