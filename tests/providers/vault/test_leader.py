"""The second question: of the node that takes the writes, where that may be asked."""

from __future__ import annotations

import logging

import pytest
from yarl import URL

from asyncsecrets.errors import SecretNotFoundError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.providers.vault.errors import Answer
from asyncsecrets.providers.vault.leader import Leader
from asyncsecrets.testing.vault_server import VaultServer
from asyncsecrets.testing.vault_server.faults import Fault


async def opened(addr, token, **settings):
    provider = VaultProvider(VaultSettings(addr=addr, token=token, **settings))
    await provider.open()
    return provider


async def test_one_node_alone_is_never_behind():
    async with VaultServer() as server:
        provider = await opened(server.url, server.root_token)
        await provider.put("name", "canary-1")
        assert (await provider.get_current("name")).version == "1"
        assert (await provider.get_current("name", "1")).version == "1"
        with pytest.raises(SecretNotFoundError):
            await provider.get_current("absent")
        assert not await provider.may_lag()
        await provider.aclose()


@pytest.mark.parametrize("known", [True, False])
async def test_the_leader_is_asked_if_it_is_of_the_cluster(known, caplog):
    """A token goes to no address that is not configured, whatever a node calls its leader; and nothing is logged."""
    caplog.set_level(logging.INFO, logger="asyncsecrets")
    async with VaultServer() as leader, VaultServer(root_token=leader.root_token) as standby:
        await (writer := await opened(leader.url, leader.root_token)).put("name", "canary-new")
        await (other := await opened(standby.url, standby.root_token)).put("name", "canary-old")
        body = f'{{"ha_enabled": true, "is_self": false, "leader_address": "{leader.url}/"}}'.encode()
        standby.faults.add(Fault("status", status=200, body=body, prefix="/v1/sys/leader"))
        reader = await opened(standby.url, standby.root_token, cluster_addrs=(leader.url,) if known else ())
        assert (await reader.get("name")).field("key").equals("canary-old")
        assert (await reader.get_current("name")).field("key").equals("canary-new" if known else "canary-old")
        assert await reader.may_lag() is not known
        assert [record for record in caplog.records if record.name == "asyncsecrets.node"] == []
        for provider in (writer, other, reader):
            await provider.aclose()


async def test_a_node_that_does_not_tell():
    """Then it may lag."""
    async with VaultServer() as server:
        server.faults.status(403, "permission denied", prefix="/v1/sys/leader")
        provider = await opened(server.url, server.root_token)
        await provider.put("name", "canary-1")
        assert (await provider.get_current("name")).version == "1"
        assert await provider.may_lag()
        await provider.aclose()


async def _behind(leader, standby, reads):
    """A writer through ``standby``, whose reads of a secret are answered with ``reads``; ``leader`` knows better."""
    body = f'{{"ha_enabled": true, "is_self": false, "leader_address": "{leader.url}"}}'.encode()
    standby.faults.add(Fault("status", status=200, body=body, prefix="/v1/sys/leader"))
    standby.faults.add(Fault("status", **reads, method="GET", prefix="/v1/secret/data/name"))
    return await opened(standby.url, standby.root_token, cluster_addrs=(leader.url,))


async def test_what_is_to_be_restored_is_looked_up_there():
    """A standby may not have heard that it was deleted: nothing would be restored, and that be acknowledged."""
    async with VaultServer() as leader, VaultServer(root_token=leader.root_token) as standby:
        both = [await opened(server.url, server.root_token) for server in (leader, standby)]
        for provider in both:
            await provider.put("name", "canary-1")
            await provider.delete("name")
        meta = b'{"version": 1, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": false}'
        old = b'{"data": {"data": {"key": "canary-1"}, "metadata": ' + meta + b"}}"
        writer = await _behind(leader, standby, {"status": 200, "body": old})
        await writer.restore("name")
        standby.faults.clear()
        assert (await both[1].get("name")).field("key").equals("canary-1")
        for provider in (*both, writer):
            await provider.aclose()


async def test_the_version_that_a_mount_wants_is_looked_up_there():
    async with VaultServer() as leader, VaultServer(root_token=leader.root_token) as standby:
        both = [await opened(server.url, server.root_token) for server in (leader, standby)]
        for provider in both:
            await provider.put("name", "canary-1")
            await provider.write_metadata("name", cas_required=True)
        writer = await _behind(leader, standby, {"status": 404, "body": b'{"errors": []}'})
        assert (await writer.put("name", "canary-2")).version == "2"
        for provider in (*both, writer):
            await provider.aclose()


class Told:
    """A transport to a node that says who leads. ``out``: whether that one was left out a moment ago."""

    def __init__(self):
        self.asked, self.out = 0, False

    def at(self, path):
        return URL(f"http://node{path}")

    def trusted(self, address):
        return address

    def is_left_out(self, _):
        return self.out

    async def send(self, *_):
        self.asked += 1
        return Answer(200, b'{"ha_enabled": true, "leader_address": "http://leader"}')


async def test_who_leads_is_believed_for_half_a_second():
    """And does not answer for all while it is left out."""
    node, now = Told(), [0.0]
    leader = Leader(node, lambda: now[0])
    for now[0], asked in [(0.0, 1), (0.4, 1), (0.6, 2)]:
        assert await leader.node() == "http://leader"
        assert node.asked == asked
    assert await leader.answers_for_all()
    node.out = True
    assert not await leader.answers_for_all()
