"""What a key service's other half makes."""

from __future__ import annotations

from asyncsecrets.errors import AccessDeniedError, DecodeError
from asyncsecrets.testing.conformance.cases import PAYLOADS
from asyncsecrets.testing.conformance.harness import CANARY, ProviderHarness
from asyncsecrets.testing.conformance.steps import encrypter_of, expect_value, needs, payload_of, scenario
from asyncsecrets.testing.conformance.watch import expect, raised


class Encrypting:
    """What a key service's other half makes."""

    @scenario
    async def test_encrypt(self, harness: ProviderHarness) -> None:
        """What is encrypted is text for an environment variable, does not show the value, and is read as it was."""
        encrypter, name = encrypter_of(harness), harness.name("Encrypt")
        for kind in [kind for kind in PAYLOADS if kind not in harness.unsupported]:
            value = payload_of(harness, kind)
            ciphertext = await encrypter.encrypt(value)
            expect(isinstance(ciphertext, str) and ciphertext.isprintable(), "the ciphertext is not one line of text")
            expect(CANARY not in ciphertext, "the ciphertext shows the value")
            await harness.place(name, ciphertext)
            await expect_value(harness, name, value)

    @scenario
    async def test_encrypt_refused(self, harness: ProviderHarness) -> None:
        """Who may not encrypt is told so, without the value; so is who gives text that has no bytes."""
        encrypter = encrypter_of(harness)
        await raised(encrypter.encrypt(f"{CANARY} \ud800"), DecodeError)
        needs(harness, "denied")
        async with harness.fault("denied"):
            await raised(encrypter.encrypt(CANARY), AccessDeniedError)
