"""Names that no secret can have: refused by every operation and every manager, before anything is sent."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets import get_secret
from asyncsecrets.default import get_secret_bool
from asyncsecrets.errors import InvalidNameError, ResolveError
from asyncsecrets.providers.base import Provider
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.providers.local import LocalProvider, init_store
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.references import MAX_NAME

from .support import Manager, client_of

WRONG: dict[str, Any] = {
    "empty": "",
    "blank": " ",
    "blanks": " \u00a0 ",
    "tab": "\t",
    "line feed": "\n",
    "line end": "NAME\r\n",
    "carriage return": "NA\rME",
    "nul": "NA\0ME",
    "escape": "\x1b[2J",
    "delete": "NAME\x7f",
    "surrogate": "NAME\ud800",
    "escaped byte": "\udcff",
    "line separator": "NA\u2028ME",
    "bidirectional": "\u202eNAME",
    "too long": "N" * (MAX_NAME + 1),
    "far too long": "N" * 1_000_000,
    "none": None,
    "bytes": b"NAME",
    "number": 7,
    "list": ["NAME"],
}
TEXTS = {kind: name for kind, name in WRONG.items() if isinstance(name, str)}
REFERENCES = {
    "empty": "os.environ/",
    "no name at a source": "secret://default/",
    "control character": "os.environ/a\nb",
    "encoded": "secret:///a%00b",
    "encoded blank": "secret:///%20",
    "no text": "secret:///%ff",
    "too long": "secret:///" + "n" * (MAX_NAME + 1),
}

OPERATIONS = {
    "get": lambda client, name: client.get(name),
    "get at a source": lambda client, name: client.get(name, source="default"),
    "get a version": lambda client, name: client.get(name, version="1"),
    "get a field": lambda client, name: client.get(name, field="f"),
    "get_secret": lambda client, name: get_secret(name),
    "get_secret with a default": lambda client, name: get_secret(name, default="x"),
    "get_secret_bool": lambda client, name: get_secret_bool(name),
    "refresh": lambda client, name: client.refresh(name),
    "invalidate": lambda client, name: client.invalidate(name),
    "watch": lambda client, name: client.watch(name),
    "explain": lambda client, name: client.explain(name),
    "put": lambda client, name: client.put(name, "canary"),
    "put a new one": lambda client, name: client.put(name, "canary", cas="0"),
    "delete": lambda client, name: client.delete(name),
    "delete versions": lambda client, name: client.delete(name, versions=["1"]),
    "restore": lambda client, name: client.restore(name),
    "destroy": lambda client, name: client.destroy(name),
    "patch": lambda client, name: client.patch(name, {"a": "canary"}),
    "rotate": lambda client, name: client.rotate(name),
    "versions": lambda client, name: client.versions(name),
    "metadata": lambda client, name: client.metadata(name),
    "write_metadata": lambda client, name: client.write_metadata(name, max_versions=1),
}


async def refused(called: Any) -> InvalidNameError:
    """The error of a call: raised at once, or awaited."""

    async def await_it() -> None:
        result = called()
        if inspect.isawaitable(result):
            await result

    with pytest.raises(InvalidNameError) as caught:
        await await_it()
    return caught.value


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_operation_refuses_it(operation: str) -> None:
    """A short printable message, and no call of the manager."""
    manager = Manager()
    async with client_of(manager, {"": "canary"}) as client:
        for name in [*WRONG.values(), *REFERENCES.values()]:
            error = await refused(lambda name=name: OPERATIONS[operation](client, name))
            assert str(error).isprintable()
            assert len(str(error)) < 400
            assert "canary" not in str(error)
        assert client.peek("") is None
    assert manager.calls == []


async def test_several_names_are_told_apart() -> None:
    """Those that can be a name are asked for all the same, and the others are listed with their own error."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager) as client:
        for several in (client.get_many, client.warm_up):
            with pytest.raises(ResolveError) as caught:
                await several(["NAME", *TEXTS.values()])
            assert {type(error) for error in caught.value.failures.values()} == {InvalidNameError}
            assert list(caught.value.failures) == list(TEXTS.values())
        with pytest.raises(ResolveError) as caught:
            await client.resolve({"a": "os.environ/", "b": "os.environ/a\x07b", "c": "os.environ/NAME"})
        assert {type(error) for error in caught.value.failures.values()} == {InvalidNameError}
    assert {name for _, name in manager.calls} == {"NAME"}


@pytest.mark.parametrize("prefix", ["a\nb", "\n", " \t", "\0", "\ud800", "n" * (MAX_NAME + 1), None, b"a", 7])
async def test_no_name_begins_so(prefix: Any) -> None:
    """A prefix is held to the same rules, but for the empty one, and blanks, with which a name may begin."""
    manager = Manager({"NAME": "canary", " x": "canary"})
    async with client_of(manager) as client:
        await refused(lambda: client.list(prefix))
        assert await client.list("") == [" x", "NAME"]
        assert await client.list(" ") == [" x"]
    assert len(manager.calls) == 2


async def memory(_: Path) -> Provider:
    return MemoryProvider()


async def environment(_: Path) -> Provider:
    return EnvironmentProvider({})


async def local(folder: Path) -> Provider:
    pytest.importorskip("pyrage")
    from asyncsecrets.providers.local import generate_key

    key, recipient = generate_key()
    init_store(folder / "secrets.yaml", recipient)
    return LocalProvider(folder / "secrets.yaml", key=key)


async def vault(_: Path) -> Provider:
    from asyncsecrets.providers.vault import VaultProvider, VaultSettings

    return VaultProvider(VaultSettings(addr="http://127.0.0.1:1", token="canary"))


async def aws(_: Path) -> Provider:
    from asyncsecrets.providers.aws import AwsSecretsManagerProvider

    return AwsSecretsManagerProvider.from_settings({}, AWS)


async def kms(_: Path) -> Provider:
    from asyncsecrets.providers.aws import AwsKmsProvider

    return AwsKmsProvider.from_settings({}, AWS)


AWS = {"AWS_REGION_NAME": "eu-central-1", "AWS_ACCESS_KEY_ID": "canary-id", "AWS_SECRET_ACCESS_KEY": "canary-key"}


@pytest.mark.parametrize("manager", [memory, environment, local, vault, aws, kms])
async def test_every_manager_refuses_it(manager: Any, tmp_path: Path) -> None:
    """Also where its provider is asked directly: whatever it can do, nothing is sent."""
    provider = await manager(tmp_path)
    await provider.open()
    asked = 0
    try:
        for name in WRONG.values():
            await refused(lambda name=name: provider.get(name))
            asked += 1
            for operation, arguments in (("put", ["canary"]), ("delete", []), ("versions", []), ("restore", [])):
                if hasattr(provider, operation):
                    await refused(partial(getattr(provider, operation), name, *arguments))
    finally:
        await provider.aclose()
    assert asked == len(WRONG)
