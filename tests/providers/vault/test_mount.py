"""Mounts whose KV version has to be found out, under policies that know only one of the two, and mounts that change."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import (
    AccessDeniedError,
    ConfigError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.testing.vault_server import VaultServer
from benchmarks.vault_wire import Wire

from .backend import Backend

REAL = os.environ.get("ASYNCSECRETS_TEST_REAL_VAULT") == "1"


class Site(Backend):
    """A mount of our own, and tokens for it."""

    def __init__(self, url, token):
        super().__init__(url, token)
        self.mount = f"mount-{secrets.token_hex(4)}"

    async def enable_kv(self, version):
        """Mount KV of this version, in the place of what was there."""
        await self("DELETE", f"sys/mounts/{self.mount}")
        await self("POST", f"sys/mounts/{self.mount}", {"type": "kv", "options": {"version": str(version)}})
        for _ in range(100):  # a real mount of version 2 is upgraded for a moment
            with contextlib.suppress(ValueError):
                return await self("POST", self.path(version, "app/x"), _body(version, "canary-1"))
            await asyncio.sleep(0.05)
        raise TimeoutError

    def path(self, version, name):
        """A secret's path in the API."""
        return f"{self.mount}/{name}" if version == 1 else f"{self.mount}/data/{name}"

    async def allowed(self, *paths):
        """A token that may do everything at these paths, and nothing else."""
        rights = 'capabilities = ["create", "read", "update", "delete", "list"]'
        policy = "\n".join(f'path "{path}" {{ {rights} }}' for path in paths)
        await self("POST", f"sys/policies/acl/{self.mount}", {"policy": policy})
        answer = await self("POST", "auth/token/create", {"policies": [self.mount], "ttl": "10m"})
        return answer["auth"]["client_token"]


def _body(version, value):
    return {"key": value} if version == 1 else {"data": {"key": value}}


@pytest.fixture(params=["fake", *(["real"] if REAL else [])])
async def site(request):
    """A dev server, and a real one."""
    if request.param == "fake":
        async with VaultServer(root_token="canary-root") as server:
            yield Site(server.url, "canary-root")
        return
    site = Site(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])
    yield site
    await site("DELETE", f"sys/mounts/{site.mount}")
    await site("DELETE", f"sys/policies/acl/{site.mount}")


async def test_least_privilege_on_kv1(site, provider_at):
    """A policy for the paths of KV v1 alone is enough to read there, whatever is asked first."""
    await site.enable_kv(1)
    token = await site.allowed(f"{site.mount}/app/*")
    for version in (None, 1):
        async with provider_at(site.url, token=token, mount_name=site.mount, kv_version=version) as provider:
            assert (await provider.get("app/x")).field("key").equals("canary-1")
            with pytest.raises(SecretNotFoundError):
                await provider.get("app/absent")
            with pytest.raises(AccessDeniedError, match=f"'{site.mount}/outside'"):
                await provider.get("outside")
    async with provider_at(site.url, token=token, mount_name=site.mount, kv_version=2) as provider:
        with pytest.raises(ConfigError, match="is KV version 1, but kv_version says 2"):
            await provider.get("app/x")


async def test_the_mount_is_asked_once_for_all_who_are_refused(site, provider_at):
    """A thousand reads that a policy refuses ask for the mount's version once, be that refused as well."""
    await site.enable_kv(2)
    for path, told in ((f"{site.mount}/data/elsewhere", True), ("elsewhere/*", False)):
        token = await site.allowed(path)
        async with Wire(site.url) as wire, provider_at(wire.url, token=token, mount_name=site.mount) as provider:
            reads = (provider.get(f"app/x{number}") for number in range(200))
            results = await asyncio.gather(*reads, return_exceptions=True)
            for number, error in enumerate(results):
                assert type(error) is AccessDeniedError
                assert f"{site.mount}/data/app/x{number}'" in str(error)
                assert "'read'" in str(error)
            with pytest.raises(AccessDeniedError):
                await provider.get("app/x")
            assert provider._mount.verified is told
            assert wire.count("GET", "/v1/sys/internal/") == 1
            assert wire.count("GET", f"/v1/{site.mount}/data/") == 201


async def test_no_right_on_the_mount(site, provider_at):
    """A write by a token without any right on the mount is denied, as a read is; a missing mount is no such thing."""
    await site.enable_kv(2)
    token = await site.allowed("elsewhere/*")
    async with provider_at(site.url, token=token, mount_name=site.mount) as provider:
        for call in (provider.get("x"), provider.put("x", "canary"), provider.delete("x")):
            with pytest.raises(AccessDeniedError, match=site.mount) as caught:
                await call
            assert caught.value.name == "x"
    async with provider_at(site.url, token=site.token, mount_name="nomount") as provider:
        for call in (provider.get("x"), provider.put("x", "canary")):
            with pytest.raises(ConfigError, match="mount"):
                await call


async def test_a_mount_that_is_being_upgraded(site, provider_at):
    """What a mount says while it becomes KV v2 passes by itself: it may be tried again, and a write did not happen."""
    await site.enable_kv(1)
    for number in range(200):
        await site("POST", site.path(1, f"app/{number}"), {"key": "canary-old"})
    async with provider_at(site.url, token=site.token, mount_name=site.mount) as provider:
        await site("POST", f"sys/mounts/{site.mount}/tune", {"options": {"version": "2"}})
        met, calls = [], [lambda: provider.put("app/0", "canary-new"), lambda: provider.get("app/0")]
        while calls:
            try:
                await calls[0]()
            except UnavailableError as error:
                met.append(error)
                await asyncio.sleep(0.02)
            else:
                calls.pop(0)
        assert met
        assert all("upgraded" in str(error) and not error.outcome_unknown for error in met)
        assert (await provider.get("app/0")).field("key").equals("canary-new")
        assert (await provider.get("app/0", "1")).field("key").equals("canary-old")


@pytest.mark.parametrize("operation", ["get", "put"])
async def test_a_login_that_fails_keeps_its_cause(site, provider_at, operation):
    """What is wrong with a login is not taken for something wrong with the mount that was to be asked."""
    login = {"approle_role_id": "canary-role", "approle_secret_id": "canary-secret"}
    for settings in (login, {**login, "kv_version": 2}):
        async with provider_at(site.url, **settings, login_namespace="nowhere", mount_name="secret") as provider:
            arguments = ["name"] if operation == "get" else ["name", "canary"]
            with pytest.raises(ConfigError, match="login_namespace") as caught:
                await getattr(provider, operation)(*arguments)
            assert "approle_mount_path" in str(caught.value)
            assert "secret" not in str(caught.value)


async def test_a_proxy_before_the_login_keeps_its_cause(provider_at):
    """A page in the place of a login's answer is the login's failure for every call, with the path that was asked."""
    login = {"approle_role_id": "canary-role", "approle_secret_id": "canary-secret"}
    async with VaultServer(root_token="canary-root") as server, provider_at(server.url, **login) as provider:
        for call in (lambda: provider.get("name"), lambda: provider.put("name", "canary")):
            server.faults.garbage(times=1, prefix="/v1/auth/")
            with pytest.raises(MalformedResponseError, match="auth/approle/login"):
                await call()
            provider.tokens._not_before = 0.0


async def test_a_mount_that_was_replaced_by_kv1(site, provider_at):
    """What turned absent has the mount asked again; a write that went to the wrong place says where it is."""
    await site.enable_kv(2)
    async with (
        provider_at(site.url, token=site.token, mount_name=site.mount) as provider,
        provider_at(site.url, token=site.token, mount_name=site.mount) as writer,
    ):
        assert (await provider.get("app/x")).version == "1"
        await writer.put("app/x", "canary-2")
        await writer.put("app/y", "canary-2")
        await site.enable_kv(1)
        assert (await provider.get("app/x")).field("key").equals("canary-1")
        with pytest.raises(ConfigError, match=f"'{site.mount}/data/app/x'"):
            await writer.put("app/x", "canary-3")
        await writer.put("app/x", "canary-4")
        assert (await provider.get("app/x")).field("key").equals("canary-4")
        assert await provider.list("app/") == ["app/x"]


async def test_a_mount_that_was_replaced_by_kv2(site, provider_at):
    """On what was a KV v1 mount every call does what it should at once: KV v2 does nothing at a path of KV v1."""
    await site.enable_kv(1)
    calls = (
        lambda provider: provider.get("app/x"),
        lambda provider: provider.put("app/x", "canary-2"),
        lambda provider: provider.delete("app/x"),
        lambda provider: provider.list("app/"),
        lambda provider: provider.versions("app/x"),
    )
    async with contextlib.AsyncExitStack() as stack:
        here = {"token": site.token, "mount_name": site.mount}
        providers = [await stack.enter_async_context(provider_at(site.url, **here)) for _ in calls]
        for provider in providers:
            await provider.get("app/x")
        await site.enable_kv(2)
        read, written, _, names, versions = [
            await call(provider) for call, provider in zip(calls, providers, strict=True)
        ]
    assert (read.version, written.version, names) == ("1", "2", ["app/x"])
    assert [version.state for version in versions] == ["enabled", "deleted"]


async def test_what_kv1_does_not_have_is_said_of_a_mount_that_was_replaced(site, provider_at):
    """Nor is a secret called absent, or a folder empty, that KV v1 keeps elsewhere."""
    await site.enable_kv(2)
    async with contextlib.AsyncExitStack() as stack:
        here = {"token": site.token, "mount_name": site.mount}
        providers = [await stack.enter_async_context(provider_at(site.url, **here)) for _ in range(4)]
        for provider in providers:
            await provider.put("app/x", "canary-2")
        await site.enable_kv(1)
        metadata, restore, patch, lister = providers
        for call in (metadata.metadata("app/x"), restore.restore("app/x"), patch.patch("app/x", {"a": "b"})):
            with pytest.raises(UnsupportedOperationError, match="KV version 1"):
                await call
        assert await lister.list("app/") == ["app/x"]


async def test_what_was_learnt_of_a_mount_gets_old(site, provider_at):
    """A mount is asked again before it is written to, calls a name absent that nobody knows, or deletes."""
    now = [0.0]
    await site.enable_kv(2)
    async with contextlib.AsyncExitStack() as stack:
        here = {"token": site.token, "mount_name": site.mount, "clock": lambda: now[0]}
        providers = [await stack.enter_async_context(provider_at(site.url, **here)) for _ in range(3)]
        for provider in providers:
            await provider.put("app/y", "canary-1")
        await site.enable_kv(1)
        writer, reader, remover = providers
        now[0] = 2.0
        await remover.delete("app/x")
        with pytest.raises(ValueError, match="404"):
            await site("GET", site.path(1, "app/x"))
        await site("POST", site.path(1, "app/x"), {"key": "canary-1"})
        now[0] = 61.0
        assert (await reader.get("app/x")).field("key").equals("canary-1")
        await writer.put("app/x", "canary-2")
        assert (await site("GET", site.path(1, "app/x")))["data"] == {"key": "canary-2"}


async def test_a_secret_of_kv1_that_looks_like_one_of_kv2(site, provider_at):
    """What somebody wrote with a tool for KV v2 lies beside the secret, and is not taken for it."""
    await site.enable_kv(1)
    whole = {"data": {"key": "canary-copy"}, "metadata": {"version": 7, "created_time": "2024-01-01T00:00:00Z"}}
    for name, copied in (
        ("bare", {"data": {"key": "canary-copy"}, "options": {}}),
        ("whole", whole),
        ("exact", {**whole, "metadata": {**whole["metadata"], "custom_metadata": None, "deletion_time": ""}}),
        ("unleased", {**whole, "ttl": "0s"}),
    ):
        await site("POST", site.path(1, name), {"key": "canary-right"})
        for there in (name, f"lonely-{name}"):
            await site("POST", site.path(1, f"data/{there}"), copied)
        for version in (None, 1):
            async with provider_at(site.url, token=site.token, mount_name=site.mount, kv_version=version) as provider:
                assert (await provider.get(name)).field("key").equals("canary-right")
                with pytest.raises(SecretNotFoundError):
                    await provider.get(f"lonely-{name}")


DENIED = "1 error occurred:\n\t* permission denied\n\n"


@pytest.mark.parametrize("status", [403, 404, 405])
@pytest.mark.parametrize("version", [1, 2])
async def test_a_mount_that_may_not_be_asked(provider_at, version, status):
    """Then what it answers at a path of KV v1 tells its version: no secret is called absent that is there."""
    async with VaultServer(root_token="canary-root") as server:
        site = Site(server.url, "canary-root")
        await site.enable_kv(version)
        server.faults.status(status, DENIED, prefix="/v1/sys/internal/")
        for first in ("get", "put", "list"):
            async with provider_at(server.url, mount_name=site.mount) as provider:
                if first == "get":
                    with pytest.raises(SecretNotFoundError):
                        await provider.get("app/absent")
                elif first == "put":
                    await provider.put("app/x", "canary-2")
                else:
                    assert await provider.list("app/") == ["app/x"]
                assert (await provider.get("app/x")).version == (
                    None if version == 1 else "1" if first == "get" else "2"
                )


async def test_a_setting_that_is_wrong_is_found_out(provider_at):
    """Also where the mount may not be asked: the secret is not absent, the setting is wrong."""
    async with VaultServer(root_token="canary-root") as server:
        site = Site(server.url, "canary-root")
        server.faults.status(403, DENIED, prefix="/v1/sys/internal/")
        for version, said in ((1, 2), (2, 1)):
            await site.enable_kv(version)
            async with provider_at(server.url, mount_name=site.mount, kv_version=said) as provider:
                with pytest.raises(ConfigError, match=f"is KV version {version}, but kv_version says {said}"):
                    await provider.get("app/x")


async def test_a_secret_that_is_gone_on_a_mount_that_may_not_be_asked(provider_at):
    """It is absent: nothing says that the mount is not what it was, and asking is for the first one only."""
    async with VaultServer(root_token="canary-root") as server, Wire(server.url) as wire:
        site = Site(server.url, "canary-root")
        await site.enable_kv(2)
        token = await site.allowed(f"{site.mount}/data/*")
        server.faults.status(403, DENIED, prefix="/v1/sys/internal/")
        async with provider_at(wire.url, token=token, mount_name=site.mount) as provider:
            await provider.get("app/x")
            await site("DELETE", f"{site.mount}/metadata/app/x")
            for _ in range(3):
                with pytest.raises(SecretNotFoundError):
                    await provider.get("app/x")
            assert wire.count("GET", "/v1/sys/internal/") == 1


async def test_many_secrets_that_are_gone_cost_one_question(provider_at):
    """Each of many that were removed at once is absent to who asks for it, however their answers are spread."""
    names = [f"app/{number}" for number in range(120)]
    async with VaultServer(root_token="canary-root") as server, Wire(server.url) as wire:
        for attempt in range(2):  # the second time each one's answer comes when another question may be under way
            async with provider_at(wire.url, max_connections=60) as provider:
                await asyncio.gather(*(provider.put(name, "canary") for name in names))
                site = Site(server.url, "canary-root")
                for name in names:
                    await site("DELETE", f"secret/metadata/{name}")
                for last in range(10) if attempt else ():
                    server.faults.latency(0.01 * last, prefix="/v1/secret/data/", method="GET", skip=last * 7, times=7)
                before = wire.count("GET", "/v1/sys/internal/")
                answers = await asyncio.gather(*(provider.get(name) for name in names), return_exceptions=True)
                assert {type(answer) for answer in answers} == {SecretNotFoundError}
                assert wire.count("GET", "/v1/sys/internal/") - before == 1


async def test_a_secret_that_was_destroyed_is_asked_about_once(site, provider_at):
    """A secret that is gone for good costs one question about the mount, however often it is asked for."""
    await site.enable_kv(2)
    async with Wire(site.url) as wire, provider_at(wire.url, token=site.token, mount_name=site.mount) as provider:
        await provider.get("app/x")
        await provider.destroy("app/x")
        for _ in range(5):
            with pytest.raises(SecretNotFoundError):
                await provider.get("app/x")
        assert wire.count("GET", "/v1/sys/internal/") == 1


async def test_many_secrets_of_ours_that_somebody_else_removed():
    """All learn it within two seconds: which node is active, and what the mount is, is asked for all at once."""
    names = [f"app{number}" for number in range(100)]
    settings = {"access_mode": "read_and_write", "hosted_keys": names}
    general = {"key_management_system": "hashicorp_vault", "key_management_settings": settings}
    async with VaultServer(root_token="canary-root") as server, Wire(server.url) as wire:
        environ = {"VAULT_ADDR": wire.url, "VAULT_TOKEN": "canary-root"}
        async with SecretsClient.from_config({"general_settings": general}, environ=environ) as client:
            await asyncio.gather(*(client.put(name, "canary") for name in names))
            for name in names:
                server.call("delete", f"secret/metadata/{name}")
                client.invalidate(name)
            began = time.monotonic()
            answers = await asyncio.gather(*(client.get(name) for name in names), return_exceptions=True)
            taken = time.monotonic() - began
    assert {type(answer) for answer in answers} == {SecretNotFoundError}
    assert wire.count("GET", "/v1/secret/data/") <= 7 * len(names)  # the plain question, and six of a node that lags
    # Each answer is believed for a while, and a machine that is busy takes its time.
    assert wire.count("GET", "/v1/sys/internal/") <= 2 + taken / 2
    assert wire.count("GET", "/v1/sys/leader") <= 2 + taken / 0.5


async def test_one_question_settles_the_doubts_of_all_calls_that_began_before_it(provider_at):
    """However late their answers are; a call that begins later has a doubt of its own, three seconds after the last."""
    now = [0.0]
    async with (
        VaultServer(root_token="canary-root") as server,
        provider_at(server.url, clock=lambda: now[0]) as provider,
    ):
        mount, names = provider._mount, ["a", "b", "c", "d"]
        for name in names:
            await provider.put(name, "canary")
        began = mount.questions
        assert mount.doubts("a", began)
        assert await mount.engine_now(began) is mount.likely
        now[0] = 10.0
        assert not mount.doubts("b", began)
        assert mount.doubts("c", mount.questions)
        await mount.engine_now(mount.questions)
        assert not mount.doubts("d", mount.questions)
        now[0] = 13.0
        assert mount.doubts("d", mount.questions)
