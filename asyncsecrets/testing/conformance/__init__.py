"""What every provider must do, written once: the contract of ``asyncsecrets.providers.base``, executed.

Hold your own provider to it by describing its backend in a ``ProviderHarness``::

    class DopplerHarness(ProviderHarness):
        unsupported = {"binary": "Doppler stores text", "separator": "…"}

        async def __aenter__(self):
            self.server = await FakeDoppler.start()
            self.provider = DopplerProvider(self.server.url, attempt_timeout=0.5)
            return self
        ...

    class TestDoppler(ProviderConformance):
        @pytest.fixture
        def harness(self):
            return DopplerHarness()

The tests are plain functions that run their coroutine on an event loop of their own, in asyncio's debug mode: they work
under pytest-asyncio (strict and auto), anyio, and neither. What a provider cannot do (write, list, keep versions,
restore, destroy, patch, rotate, keep metadata, encrypt) is skipped by what its class says it is, or by the
UnsupportedOperationError that it raises (or left out with ``ReaderConformance``); what a backend cannot show is
skipped by ``harness.unsupported``, with its reason, and by ``harness.rotates`` and ``harness.places``. Which of the
``UNUSUAL_NAMES`` (slashes at the ends, ``!``, ``%``, quotes, blanks) the manager has is said by ``harness.accepts``.

Not asserted, because managers differ and a caller can live with each: whether a soft-deleted secret is still listed,
which ``cas`` a deleted secret wants, and whether its name can be reused at once.
"""

from __future__ import annotations

from asyncsecrets.providers.base import Provider
from asyncsecrets.testing.conformance.cases import FAULT_ERRORS, HOSTILE_NAMES, PAYLOADS, UNUSUAL_NAMES
from asyncsecrets.testing.conformance.changing import Changing
from asyncsecrets.testing.conformance.encrypting import Encrypting
from asyncsecrets.testing.conformance.faults import Faults
from asyncsecrets.testing.conformance.harness import CANARY, FAULTS, ProviderHarness
from asyncsecrets.testing.conformance.life import Life
from asyncsecrets.testing.conformance.listing import Listing
from asyncsecrets.testing.conformance.naming import Naming, NamingWrites
from asyncsecrets.testing.conformance.reading import Reading
from asyncsecrets.testing.conformance.steps import expect_value, scenario
from asyncsecrets.testing.conformance.watch import check_error, expect
from asyncsecrets.testing.conformance.writing import Writing

__all__ = [
    "CANARY",
    "FAULTS",
    "FAULT_ERRORS",
    "HOSTILE_NAMES",
    "PAYLOADS",
    "UNUSUAL_NAMES",
    "ProviderConformance",
    "ProviderHarness",
    "ReaderConformance",
    "check_error",
]


class ReaderConformance(Reading, Naming, Encrypting, Faults, Life):
    """The suite for a provider that only reads. Subclass it, name it ``Test…`` and give it a ``harness`` fixture."""

    def test_declarations(self, harness: ProviderHarness) -> None:
        """The provider says which manager it is; the harness excuses only what the suite knows, with a reason."""
        known = {*FAULTS, *PAYLOADS, *HOSTILE_NAMES}
        expect(set(harness.unsupported) <= known, f"unknown in `unsupported`: {set(harness.unsupported) - known}")
        expect(all(harness.unsupported.values()), "each entry of `unsupported` needs its reason")
        unknown = {*harness.accepts, *harness.reserved} - set(UNUSUAL_NAMES)
        expect(not unknown, f"unknown in `accepts` or `reserved`: {unknown}")

    @scenario
    async def test_is_a_provider(self, harness: ProviderHarness) -> None:
        """The provider has the protocol's members, and its repr shows no value."""
        name = harness.name("Repr")
        await harness.seed(name, CANARY)
        await expect_value(harness, name, CANARY)
        expect(isinstance(harness.provider, Provider), "a member of the Provider protocol is missing")
        expect(bool(harness.provider.system), "`system` is empty")
        expect(CANARY not in repr(harness.provider) + str(harness.provider), "the provider's repr holds a value")


class ProviderConformance(ReaderConformance, Writing, NamingWrites, Changing, Listing):
    """The whole suite. Subclass it, name the subclass ``Test…`` and give it a ``harness`` fixture."""
