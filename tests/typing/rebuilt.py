"""What is rebuilt has the type that its factory builds; one name gives a Secret to that, several a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from asyncsecrets import Secret, SecretsClient
from asyncsecrets.rebuilding import Rebuilt


class Pool:
    """Something that is built."""

    async def close(self) -> None:
        """End it."""


async def from_one(secret: Secret) -> Pool:
    """Build it with one secret."""
    return Pool()


async def from_many(secrets: Mapping[str, Secret]) -> Pool:
    """Build it with several."""
    return Pool()


async def main(client: SecretsClient) -> None:
    """Use it."""
    async with Rebuilt(client, "NAME", build=from_one, retire=Pool.close) as pool:
        assert_type(pool.current, Pool)
        assert_type(await pool.refresh(pool.current), Pool)
        async with pool.use() as used:
            assert_type(used, Pool)
    async with Rebuilt(client, ["NAME", "OTHER"], build=from_many, grace=1) as pool:
        assert_type(pool, Rebuilt[Pool])
    Rebuilt(client, ["NAME"], build=from_one)  # type: ignore[arg-type]
    Rebuilt(client, "NAME", build=lambda secret: Pool())  # type: ignore[arg-type,return-value]

    async for secret in client.watch("NAME"):
        assert_type(secret, Secret)
    async for secrets in client.watch_many(["NAME"], wait=True):
        assert_type(secrets, dict[str, Secret])
    client.on_change(lambda name, secret: print(name, secret.version), "NAME")
