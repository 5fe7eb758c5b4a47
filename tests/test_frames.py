"""Nothing shows: every public call, of the client and of every provider, under every fault, with the frames' variables.

Whoever adds a method or a provider is told here that it is not walked yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import pytest
from pydantic import BaseModel, create_model

import asyncsecrets
from asyncsecrets import SecretsClient, get_secret, get_secret_bool, load_settings, loops, reset_default
from asyncsecrets.integrations.pydantic import FromSecret
from asyncsecrets.registry import BUILT_IN, load
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.conformance import FAULTS, ProviderHarness
from tests.canaries import CANARY
from tests.client.support import Manager
from tests.hostile import PROVIDERS, HostileHarness
from tests.providers.aws.conftest import moto, no_aws_of_this_machine  # noqa: F401  # fixtures
from tests.providers.aws.test_conformance import KmsHarness, SecretsManagerHarness
from tests.providers.azure.conftest import known
from tests.providers.azure.test_conformance import VaultHarness
from tests.providers.google.test_conformance import SecretManagerHarness
from tests.providers.google.test_kms_conformance import KmsHarness as GoogleKmsHarness
from tests.providers.local_support import OTHER_PUBLIC
from tests.providers.test_environment import DotenvHarness, EnvironmentHarness
from tests.providers.test_local import LocalHarness
from tests.providers.test_memory import MemoryHarness
from tests.providers.vault.test_conformance import FakeHarness
from tests.walk import Call, Walk, Watch

VALUE: Final = f"{CANARY}-Xw93kd"


class AzureHarness(VaultHarness):
    """Where Azure is, is known as long as it is there."""

    def __init__(self) -> None:
        super().__init__({})
        self._known = contextlib.ExitStack()

    async def __aenter__(self) -> Any:
        self._known.enter_context(known(self.names))
        return await super().__aenter__()

    async def __aexit__(self, *how: object) -> None:
        await super().__aexit__(*how)
        self._known.close()


HARNESSES: Final[Mapping[str, Callable[[Path, str], list[ProviderHarness]]]] = {
    "aws_kms": lambda _, aws: [KmsHarness(aws)],
    "aws_secret_manager": lambda _, aws: [SecretsManagerHarness(aws)],
    "azure_key_vault": lambda *_: [AzureHarness()],
    "env": lambda path, _: [EnvironmentHarness(), DotenvHarness(path / ".env")],
    "google_kms": lambda *_: [GoogleKmsHarness()],
    "google_secret_manager": lambda *_: [SecretManagerHarness()],
    "hashicorp_vault": lambda *_: [FakeHarness()],
    "local": lambda path, _: [LocalHarness(path / "secrets.yaml")],
    "memory": lambda *_: [MemoryHarness()],
}
"""By the name of the manager: what stands for it."""


def ignored(*_: object) -> None:
    """Hears of every change."""


async def following(client: SecretsClient, name: str) -> None:
    """Follow a secret for one turn."""
    async with contextlib.aclosing(client.watch(name)) as changes:
        await anext(changes)


async def following_many(client: SecretsClient, names: list[str]) -> None:
    """Follow several for one turn."""
    await anext(client.watch_many(names))


def _model(name: str) -> type[BaseModel]:
    return create_model(
        "Settings", text=(Annotated[str, FromSecret(name)], ...), number=(Annotated[int, FromSecret(name)], 0)
    )


def client_calls(client: SecretsClient, name: str) -> dict[str, Call]:
    """Every public method; the first word of each key is its name. Values go in wherever something goes in."""
    document = {"a": f"os.environ/{name}", "plain": VALUE, "b": [f"secret:///{name}?field=x", f"secret:///{name}x"]}
    return {
        "start": client.start,
        "get": lambda: client.get(name),
        "get a version": lambda: client.get(name, version="1"),
        "get a field": lambda: client.get(name, field="/a/b"),
        "get a reference": lambda: client.get(f"os.environ/{name}"),
        "get nothing": lambda: client.get(7),  # type: ignore[arg-type]
        "get_many": lambda: client.get_many([name, name + "x", name + "y"]),
        "get_many of nothing": lambda: client.get_many([7]),  # type: ignore[list-item]
        "warm_up": lambda: client.warm_up([name, name + "x"]),
        "resolve": lambda: client.resolve(document),
        "resolve what is odd": lambda: client.resolve({"a": f"os.environ/{name}", "b": Late([f"os.environ/{name}"])}),
        "refresh": lambda: client.refresh(name),
        "invalidate": lambda: client.invalidate(name),
        "peek": lambda: client.peek(name),
        "is_absent": lambda: client.is_absent(name),
        "texts": lambda: client.texts.get(name),
        "put": lambda: client.put(name, VALUE),
        "put under cas": lambda: client.put(name, VALUE, cas="41"),
        "put what is no value": lambda: client.put(name, {"k": VALUE}),  # type: ignore[arg-type]
        "put what is no text": lambda: client.put(name, f"{VALUE}\ud800"),
        "put bytes": lambda: client.put(name, VALUE.encode() + b"\xff"),
        "patch": lambda: client.patch(name, {"member": VALUE}),
        "patch under cas": lambda: client.patch(name, {"member": VALUE}, cas="41"),
        "patch what is none": lambda: client.patch(name, [VALUE]),  # type: ignore[arg-type]
        "patch with odd members": lambda: client.patch(name, {"member": {VALUE: object()}}),
        "delete": lambda: client.delete(name),
        "delete versions": lambda: client.delete(name, versions=["1"]),
        "restore": lambda: client.restore(name),
        "destroy": lambda: client.destroy(name),
        "destroy versions": lambda: client.destroy(name, versions=["1"]),
        "list": client.list,
        "versions": lambda: client.versions(name),
        "metadata": lambda: client.metadata(name),
        "write_metadata": lambda: client.write_metadata(name, custom={"owner": "team"}),
        "write_metadata wrongly": lambda: client.write_metadata(name, custom={"owner": [VALUE]}),  # type: ignore[dict-item]
        "rotate": lambda: client.rotate(name),
        "encrypt": lambda: client.encrypt(VALUE),
        "encrypt what is no value": lambda: client.encrypt({"k": VALUE}),  # type: ignore[arg-type]
        "watch": lambda: following(client, name),
        "watch_many": lambda: following_many(client, [name, name + "x"]),
        "on_change": lambda: client.on_change(ignored),
        "status": client.status,
        "health": client.health,
        "lacking": lambda: client.lacking([name]),
        "fetch_missing": client.fetch_missing,
        "explain": lambda: client.explain(name),
        "explain what is none": lambda: client.explain(f"secret://nowhere/{name}"),
        "place": lambda: client.place(name),
        "store": client.store,
        "store with settings": lambda: client.store(settings={"token": VALUE, "secrets": {"a": VALUE}}),
        "get_secret": lambda: get_secret(name),
        "get_secret with a default": lambda: get_secret(name + "z", VALUE),
        "get_secret with another default": lambda: get_secret(name, VALUE),
        "get_secret_bool": lambda: get_secret_bool(name),
        "get_secret_bool with a default": lambda: get_secret_bool(name, VALUE),
        "load_settings": lambda: load_settings(_model(name), client),
        "reset_default": reset_default,
    }


class Late(list[str]):
    """A list that gives its items once."""

    given = False

    def __iter__(self) -> Iterator[str]:
        if self.given:
            raise RuntimeError("given already")
        self.given = True
        return super().__iter__()


def provider_calls(provider: Any, name: str) -> dict[str, Call]:
    """The same of a provider, of the methods that it has."""

    def by(method: str, *args: object, **options: object) -> Call:
        return lambda: getattr(provider, method)(*args, **options)

    calls: dict[str, Call] = {
        "get": by("get", name),
        "get a version": by("get", name, "1"),
        "get_current": by("get_current", name),
        "get_many": by("get_many", [name, name + "x"]),
        "may_lag": by("may_lag"),
        "lookup": by("lookup", name),
        "look": by("look"),
        "put": by("put", name, VALUE, token="0" * 32),
        "put under cas": by("put", name, VALUE, cas="41", token="0" * 32),
        "put what is no text": by("put", name, f"{VALUE}\ud800", token="0" * 32),
        "put bytes": by("put", name, VALUE.encode() + b"\xff", token="0" * 32),
        "as_kept": by("as_kept", f'{{"a": {"9" * 40}, "b": "{VALUE}"}}'),
        "check_value": by("check_value", name, f"{VALUE}\ud800"),
        "set": by("set", name, VALUE),
        "remove": by("remove", name),
        "patch": by("patch", name, {"member": VALUE}),
        "patch under cas": by("patch", name, {"member": VALUE}, cas="41"),
        "delete": by("delete", name),
        "delete_versions": by("delete_versions", name, ["1"]),
        "restore": by("restore", name),
        "destroy": by("destroy", name),
        "destroy versions": by("destroy", name, ["1"]),
        "list": by("list"),
        "versions": by("versions", name),
        "metadata": by("metadata", name),
        "write_metadata": by("write_metadata", name, custom={"owner": "team"}),
        "rotate": by("rotate", name, token="0" * 32),
        "recipients": by("recipients"),
        "add_recipient": by("add_recipient", OTHER_PUBLIC, "bob"),
        "add_recipient that is none": by("add_recipient", VALUE, VALUE),
        "add_recipient that is a secret key": by("add_recipient", f"AGE-SECRET-KEY-1{VALUE}"),
        "remove_recipient": by("remove_recipient", "bob"),
        "remove_recipient that is none": by("remove_recipient", VALUE),
        "accept_recipients": by("accept_recipients"),
        "encrypt": by("encrypt", VALUE),
        "decrypt": by("decrypt", VALUE.encode(), name),
        "ciphertext": by("ciphertext", name),
        "can_name": by("can_name", name),
        "same_secret": by("same_secret", name, name),
        "spelled": by("spelled", name),
        "spellings": by("spellings", name),
        "open": by("open"),
        "aclose": by("aclose"),
        "abandon": by("abandon"),
    }
    return {call: make for call, make in calls.items() if hasattr(provider, call.partition(" ")[0])}


UNGUARDED: Final = frozenset({"get", "get_secret"})
"""Of the client: the hit path, and what reads by it. A boundary costs, and there is no value in their frames."""

TURNS: Final = (0, 1, 4, 16)  # of the loop, after which all is cancelled
LIVES: Final = ("open", "abandon", "aclose")  # of a provider, and walked last: the others need it open
MADE: Final = {"from_config", "from_environment", "from_provider"}  # tests/test_boundary.py walks the configuration


def public(cls: type) -> set[str]:
    """The public methods of a class."""
    return {name for name, member in inspect.getmembers(cls) if not name.startswith("_") and callable(member)}


def methods(calls: Mapping[str, Call]) -> set[str]:
    """What the keys begin with."""
    return {call.partition(" ")[0] for call in calls}


# -- nothing is left out


def test_every_method_of_the_client_is_walked() -> None:
    """Also one that is added tomorrow; and every function that the package exports."""
    client = SecretsClient.from_provider(MemoryHarness().provider, environ={})
    walked = methods(client_calls(client, "N")) | {"aclose"}  # which every fault "closed" begins with
    assert public(SecretsClient) - MADE - walked == set()
    functions = {name for name in asyncsecrets.__all__ if inspect.isfunction(getattr(asyncsecrets, name))}
    assert functions - walked == set()


@pytest.mark.parametrize("system", [system for system, entry in BUILT_IN.items() if entry.target])
def test_every_provider_is_walked(system: str) -> None:
    """Each one of the registry, and each of its methods."""
    assert system in HARNESSES
    cls: Any = load(system)
    bare = object.__new__(cls)
    assert public(cls) - {"from_settings"} - methods(provider_calls(bare, "N")) == set()


# -- the walk


async def seeded(harness: ProviderHarness) -> list[str]:
    """Names of secrets that are there."""
    names = [harness.name(f"Walk-{letter}") for letter in "abcdefgh"]
    for name in names:
        await harness.seed(name, f'{{"user": "{VALUE}"}}')
    return names


def spread(calls: Callable[[str], dict[str, Call]], names: list[str]) -> dict[str, Call]:
    """The calls, each with one of the names."""
    return {call: calls(names[number % len(names)])[call] for number, call in enumerate(calls(names[0]))}


def faults_of(harness: ProviderHarness) -> list[str]:
    """What can go wrong at this backend."""
    return [fault for fault in getattr(harness, "kinds", FAULTS) if fault not in harness.unsupported]


@contextlib.asynccontextmanager
async def client_of(harness: ProviderHarness) -> Any:
    """A client of the harness's provider, as the default client."""
    policy = RetryPolicy(attempts=1, deadline=1.5)
    async with SecretsClient.from_provider(harness.provider, environ={"BOOT": VALUE}, retry=policy) as client:
        yield client


async def walk_client(walk: Walk, harness: ProviderHarness) -> None:
    """Every method of the client, under everything that can go wrong."""
    async with harness, client_of(harness) as client:
        names = await seeded(harness)

        def calls() -> dict[str, Call]:
            for name in names:
                client.invalidate(name)
            return spread(lambda name: client_calls(client, name), names)

        await walk.under("nothing", calls())
        await walk.under("absence", client_calls(client, harness.name("Absent")))
        await walk.under("a hostile name", client_calls(client, "../x\r\nX-Evil: 1"))
        for fault in faults_of(harness):
            async with harness.fault(fault):
                await walk.under(fault, calls())
        for turns in TURNS:
            made = {call: make for call, make in calls().items() if call != "start"}  # which would close the client
            await walk.under(f"a cancellation after {turns} turns", made, cancel_after=turns)
        if "binary" not in harness.unsupported:
            await harness.seed(harness.name("Binary"), VALUE.encode() + b"\xff")
        await walk.under("a value that is no text", client_calls(client, harness.name("Binary")))
        await client.aclose()
        await walk.under("a client that is closed", client_calls(client, names[0]))


async def walk_provider(walk: Walk, harness: ProviderHarness) -> None:
    """Every method of the provider, called by itself."""

    def calls_of(name: str) -> dict[str, Call]:
        calls = provider_calls(harness.provider, name)
        return {call: make for call, make in calls.items() if call not in LIVES}

    async with harness:
        await harness.provider.open()
        calls = spread(calls_of, await seeded(harness))
        await walk.under("nothing", calls)
        await walk.under("absence", calls_of(harness.name("Absent")))
        await walk.under("a hostile name", calls_of("../x\r\nX-Evil: 1"))
        for fault in faults_of(harness):
            async with harness.fault(fault):
                await walk.under(fault, calls)
        for turns in TURNS:
            await walk.under(f"a cancellation after {turns} turns", calls, cancel_after=turns)
        for call in LIVES:
            await walk.under("its life", {call: provider_calls(harness.provider, "N")[call]})
        await harness.provider.aclose()
        await walk.under("a provider that is closed", calls)


def walked(harness: ProviderHarness, way: Callable[[Walk, ProviderHarness], Awaitable[None]]) -> Walk:
    """Go one way on a loop of its own, which is watched; in debug mode where that costs little."""
    watch = Watch()
    walk = Walk(watch, UNGUARDED if way is walk_client else frozenset())
    with asyncio.Runner(debug=not faults_of(harness)) as runner, watch.over(runner.get_loop()):
        runner.run(way(walk, harness))  # type: ignore[arg-type]
    return walk


WAYS: Final = {"client": walk_client, "provider": walk_provider}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("system", HARNESSES)
def test_nothing_shows(tmp_path: Path, moto: str, system: str, way: str, record_property: Any) -> None:  # noqa: F811
    """In no frame, task, future, thread's work, or word to the loop's handler."""
    for harness in HARNESSES[system](tmp_path, moto):
        walk = walked(harness, WAYS[way])
        record_property("walked", str(walk))
        print(f"{system}, {way}: {walk}")
        assert walk.leaked == set()
        assert walk.raised > walk.made / 4
        assert walk.watch.seen > walk.made


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("which", PROVIDERS)
def test_nothing_shows_of_hostile_answers(which: str, way: str) -> None:
    """To a read, a write or a login: nonsense, half an answer, an error page, each with a value in it."""
    walk = walked(HostileHarness(which), WAYS[way])
    print(f"hostile {which}, {way}: {walk}")
    assert walk.leaked == set()
    assert walk.raised > walk.made / 2


class Buggy(Manager):
    """A manager that fails as no provider may: with what its SDK says, which quotes values."""

    @contextlib.asynccontextmanager
    async def failing(self, what: BaseException) -> AsyncIterator[None]:
        """Raise it in every call."""
        self.failure = lambda _: what  # type: ignore[assignment, return-value]
        try:
            yield
        finally:
            self.failure = None


class BuggyHarness(MemoryHarness):
    """A provider of somebody's own."""

    kinds: ClassVar = {
        "KeyError": KeyError(VALUE),
        "UnicodeDecodeError": UnicodeDecodeError("utf-8", VALUE.encode(), 0, 1, VALUE),
        "JSONDecodeError": json.JSONDecodeError("no JSON", VALUE, 0),
        "TimeoutError": TimeoutError(VALUE),
        "a cancellation": asyncio.CancelledError(),
    }
    unsupported: ClassVar = {}  # type: ignore[assignment]

    def __init__(self) -> None:
        self.provider = Buggy()

    def fault(self, kind: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Have it fail so."""
        provider: Any = self.provider
        failing: contextlib.AbstractAsyncContextManager[None] = provider.failing(self.kinds[kind])
        return failing


def test_nothing_shows_of_a_bug() -> None:
    """What a provider of one's own raises against the contract does not reach a caller, nor do its frames."""
    walk = walked(BuggyHarness(), walk_client)
    print(f"a bug, client: {walk}")
    assert walk.leaked == set()
    assert walk.raised > walk.made / 2


# -- the walk finds what there is


def unguarded(patch: pytest.MonkeyPatch) -> None:
    """A method of the client without a boundary, with what it asked for in a local variable."""

    async def refresh(self: SecretsClient, name: str, *, source: str | None = None) -> None:
        token = VALUE
        await self.get(name + token[:0] + "-absent", source=source)

    patch.setattr(SecretsClient, "refresh", outside(refresh))


def in_a_task(patch: pytest.MonkeyPatch) -> None:
    """A thread's work that is its future's result."""

    async def shown(work: Any) -> None:
        await asyncio.to_thread(lambda: work() or work.__self__.entries)

    patch.setattr("asyncsecrets.providers.environment.in_thread", shown)


def to_the_handler(patch: pytest.MonkeyPatch) -> None:
    """A task that nobody waits for, and that fails with a value in its frame."""

    async def fail() -> None:
        value = VALUE
        raise ValueError(len(value))

    def health(self: SecretsClient) -> None:
        loops.spawn(outside(fail)(), name="planted", done=lambda task: None)

    patch.setattr(SecretsClient, "health", health)


def outside(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function as if it were not one of the tests, whose frames are not looked at."""
    moved: Callable[..., Any] = type(function)(
        function.__code__.replace(co_filename="/elsewhere.py"), function.__globals__, closure=function.__closure__
    )
    moved.__kwdefaults__ = function.__kwdefaults__
    return moved


@pytest.mark.leaks("it is planted")
@pytest.mark.parametrize("plant", [unguarded, in_a_task, to_the_handler])
def test_a_planted_leak_is_found(tmp_path: Path, plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Of each kind; and where it is not planted nothing is found, as the walks show."""
    where = {unguarded: "refresh under", in_a_task: "future that ended", to_the_handler: "the loop's exception handler"}
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        walk = walked(DotenvHarness(tmp_path / ".env"), walk_client)
    assert [place for place in walk.leaked if where[plant] in place] != []
