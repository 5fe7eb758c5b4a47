"""Where a name is asked: the four rules as one table, references, keywords, primary secrets, several sources."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.config import AccessMode, Config, SourceConfig
from asyncsecrets.errors import (
    AccessDeniedError,
    AccessModeError,
    AsyncSecretsError,
    ConfigError,
    DecodeError,
    InvalidNameError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.environment import EnvironmentProvider
from tests.client.support import ONCE, FieldManager, Manager, client_of, client_with, denied, down, value

MODES = ["read_only", "write_only", "read_and_write"]
HOSTED = {"all": None, "listed": ["NAME"], "others": ["OTHER"]}
STATES = ["found", "absent", "down", "denied"]


def promised(mode: str, hosted: str, state: str, in_env: bool) -> str | type[Exception]:
    """The rules 1 to 4 of ``asyncsecrets.client.routing``, said once more and in another way."""
    environment: str | type[Exception] = "canary-env" if in_env else SecretNotFoundError
    asks_manager = mode != "write_only" and hosted != "others"
    if not asks_manager:
        return environment
    return {
        "found": "canary-manager",
        "absent": SecretNotFoundError if hosted == "listed" else environment,
        "down": UnavailableError,
        "denied": AccessDeniedError,
    }[state]


@pytest.mark.parametrize("form", ["NAME", "os.environ/NAME", "secret:///NAME"])
@pytest.mark.parametrize(
    ("mode", "hosted", "state", "in_env"), list(itertools.product(MODES, HOSTED, STATES, [True, False]))
)
async def test_where_a_name_is_asked(mode: str, hosted: str, state: str, in_env: bool, form: str) -> None:
    """Rules 1 to 4, for every access mode, hosted_keys, answer of the manager and environment; twice, cold and warm."""
    manager = Manager({"NAME": "canary-manager"} if state == "found" else {})
    manager.failure = {"down": down, "denied": denied}.get(state)
    environ = {"NAME": "canary-env"} if in_env else {}
    expected = promised(mode, hosted, state, in_env)
    async with client_of(
        manager, environ, access_mode=mode, hosted_keys=HOSTED[hosted], retry=ONCE, negative_ttl=0
    ) as client:
        for _ in range(2):
            if isinstance(expected, str):
                secret = await client.get(form)
                assert secret.reveal() == expected
                assert secret.source == ("default" if expected == "canary-manager" else "environment")
            else:
                with pytest.raises(expected):
                    await client.get(form)
        if mode == "write_only" or hosted == "others":
            assert manager.calls == []
        else:
            assert manager.calls


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("hosted", HOSTED)
async def test_a_named_source_is_asked_and_nothing_else(state: str, hosted: str) -> None:
    """secret://default/NAME and source= never fall back to the environment, whatever hosted_keys says."""
    manager = Manager({"NAME": "canary-manager"} if state == "found" else {})
    manager.failure = {"down": down, "denied": denied}.get(state)
    expected = {"absent": SecretNotFoundError, "down": UnavailableError, "denied": AccessDeniedError}.get(state)
    async with client_of(manager, {"NAME": "canary-env"}, hosted_keys=HOSTED[hosted], retry=ONCE) as client:
        for read in (client.get("secret://default/NAME"), client.get("NAME", source="default")):
            if expected is None:
                assert value(await read) == "canary-manager"
            else:
                with pytest.raises(expected):
                    await read


async def test_a_write_only_source_is_not_read_even_by_name() -> None:
    """A reference that names a write_only source raises AccessModeError before anything is sent."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager, access_mode="write_only") as client:
        with pytest.raises(AccessModeError, match="read_and_write"):
            await client.get("secret://default/NAME")
    assert manager.calls == []


async def test_absent_everywhere_names_both_places() -> None:
    """SecretNotFoundError for a name that is nowhere says so of both, and keeps its name."""
    async with client_of(Manager()) as client:
        with pytest.raises(
            SecretNotFoundError, match=r"memory: 'NAME' does not exist.*environment has no variable 'NAME'"
        ) as caught:
            await client.get("NAME")
    assert (caught.value.name, caught.value.provider, caught.value.reason) == ("NAME", "memory", "absent")
    assert "environment" in repr(caught.value)


async def test_absent_at_a_named_source_does_not_speak_of_the_environment() -> None:
    """What was not asked is not mentioned, also when both kinds of callers share one flight's answer."""
    async with client_of(Manager()) as client:
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME")
        with pytest.raises(SecretNotFoundError) as caught:
            await client.get("secret://default/NAME")
    assert "environment" not in str(caught.value)


async def test_a_stand_in_does_not_hide_a_secret_from_those_who_ask_the_source_itself() -> None:
    """A name that the environment stands in for is asked again at its source once *absent* is not believed any more."""
    manager = Manager()
    async with client_of(manager, {"NAME": "canary-env"}, negative_ttl=0.0) as client:
        assert value(await client.get("NAME")) == "canary-env"
        manager.set("NAME", "canary-manager")
        assert value(await client.get("secret://default/NAME")) == "canary-manager"
        assert value(await client.get("NAME")) == "canary-manager"


async def test_keywords_say_what_a_reference_leaves_open() -> None:
    """version=, field= and source= mean what the parts of a reference mean, and do not mix with the bare name."""
    manager = Manager({"NAME": '{"user":"canary-u","password":"canary-1"}'})
    manager.set("NAME", '{"user":"canary-u","password":"canary-2"}')
    async with client_of(manager) as client:
        assert value(await client.get("NAME", field="password")) == "canary-2"
        assert value(await client.get("NAME", field="password", version="1")) == "canary-1"
        assert value(await client.get("secret://default/NAME?version=1", field="password")) == "canary-1"
        assert value(await client.get("secret://default/NAME?version=1&field=password")) == "canary-1"
        assert value(await client.get("secret:///NAME?field=user")) == "canary-u"
        assert value(await client.get("NAME", source="default")) == value(await client.get("NAME"))
        assert (await client.get("NAME", version="1")).version == "1"
        assert manager.calls == [("get", "NAME")] * 2  # one for the current version, one for version 1
        assert client.peek("NAME") is not None


@pytest.mark.parametrize(
    ("reference", "keywords"),
    [
        ("secret://default/NAME", {"source": "environment"}),
        ("secret:///NAME?version=1", {"version": "2"}),
        ("secret:///NAME?field=a", {"field": "b"}),
    ],
)
async def test_a_reference_and_a_keyword_that_disagree_are_an_error(reference: str, keywords: dict[str, str]) -> None:
    """Saying two things is a ConfigError, not a choice."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager) as client:
        with pytest.raises(ConfigError, match="say it once"):
            await client.get(reference, **keywords)
    assert manager.calls == []


async def test_versions_are_never_looked_for_in_the_environment() -> None:
    """A version that the manager does not have is absent: the environment has no versions to stand in with."""
    async with client_of(Manager({"NAME": "canary"}), {"NAME": "canary-env"}) as client:
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME", version="7")
        with pytest.raises(UnsupportedOperationError, match="no versions"):
            await client.get("secret://environment/NAME?version=1")


async def test_a_field_is_taken_from_a_stand_in_too() -> None:
    """field= of a variable that stands in is a member of its JSON text; the manager's own default field is not."""
    environ = {"NAME": '{"password":"canary-p"}', "PLAIN": "canary-plain"}
    async with client_of(FieldManager(), environ) as client:
        assert value(await client.get("NAME", field="password")) == "canary-p"
        assert value(await client.get("secret:///NAME?field=password")) == "canary-p"
        assert value(await client.get("PLAIN")) == "canary-plain"
        with pytest.raises(DecodeError):
            await client.get("PLAIN", field="password")


async def test_a_default_field_is_what_a_name_means_where_secrets_are_objects() -> None:
    """With a default field, a name is that member, and field= another one."""
    manager = FieldManager({"NAME": '{"key":"canary-k","user":"canary-u"}', "NONE": '{"user":"canary-u"}'})
    async with client_of(manager, {"NONE": "canary-env"}) as client:
        assert value(await client.get("NAME")) == "canary-k"
        assert value(await client.get("NAME", field="user")) == "canary-u"
        with pytest.raises(DecodeError, match="no field 'key'"):  # there, and not what was asked for: not absent
            await client.get("NONE")


class TestPrimarySecret:
    """primary_secret_name: names are members of one JSON secret."""

    PRIMARY = '{"A":"canary-a","B":"canary-b","NUMBER":7,"NESTED":"{\\"x\\":\\"canary-x\\"}"}'

    def client(self, manager: Manager, environ: dict[str, str] | None = None, **more: object) -> SecretsClient:
        declared = SourceConfig(
            name="default", system="memory", primary_secret_name="all", access_mode=AccessMode.READ_AND_WRITE, **more
        )
        return client_with({"default": (declared, manager)}, environ, retry=ONCE)

    async def test_members_come_from_one_fetch(self) -> None:
        """Any number of members cost one call."""
        manager = Manager({"all": self.PRIMARY})
        async with self.client(manager) as client:
            found = await client.get_many(["A", "B", "os.environ/A", "secret://default/B"])
            assert [secret.reveal() for secret in found.values()] == ["canary-a", "canary-b", "canary-a", "canary-b"]
            assert value(await client.get("NESTED", field="x")) == "canary-x"
        assert manager.calls == [("get", "all")]

    async def test_a_member_that_is_absent_is_looked_for_in_the_environment(self) -> None:
        """Rule 3 holds for members one by one."""
        async with self.client(Manager({"all": self.PRIMARY}), {"C": "canary-c", "A": "canary-no"}) as client:
            assert value(await client.get("C")) == "canary-c"
            assert value(await client.get("A")) == "canary-a"
            with pytest.raises(
                SecretNotFoundError,
                match=r"'D' is not a member of the secret 'all'.*nor in the environment.*'A', 'B', 'NUMBER', 'NESTED'",
            ):
                await client.get("D")
            with pytest.raises(SecretNotFoundError) as caught:
                await client.get("secret://default/C")
            assert "environment" not in str(caught.value)
            assert "it has 'A', 'B', 'NUMBER', 'NESTED'" in str(caught.value)  # names, and no value
            assert "canary" not in str(caught.value)

    async def test_a_primary_secret_that_is_absent_is_every_member_absent(self) -> None:
        """The variable of the member stands in, never a variable that is called like the primary secret."""
        environ = {"A": "canary-env", "all": '{"A":"canary-wrong"}'}
        async with self.client(Manager(), environ) as client:
            assert value(await client.get("A")) == "canary-env"
            with pytest.raises(SecretNotFoundError, match="'B' is read as a member") as caught:
                await client.get("B")
            assert caught.value.name == "B"
            with pytest.raises(SecretNotFoundError):
                await client.get("secret://default/A")

    @pytest.mark.parametrize("payload", ["canary not json", "[1]", '"canary"'])
    async def test_a_primary_secret_that_makes_no_sense_is_an_error(self, payload: str) -> None:
        """Nonsense is not absence: it never leads to the environment."""
        async with self.client(Manager({"all": payload}), {"A": "canary-env"}) as client:
            with pytest.raises(DecodeError, match="'all' is not a JSON object"):
                await client.get("A")

    async def test_hosted_members_have_no_stand_in(self) -> None:
        """hosted_keys and a member that is missing: not found, whatever the environment has."""
        client = self.client(Manager({"all": self.PRIMARY}), {"C": "canary-c"}, hosted_keys=frozenset({"C", "A"}))
        async with client:
            assert value(await client.get("A")) == "canary-a"
            with pytest.raises(SecretNotFoundError):
                await client.get("C")

    async def test_virtual_keys_are_secrets_of_their_own(self) -> None:
        """What is written under the prefix is not a member of the primary secret, and is read where it was written."""
        manager = Manager({"all": self.PRIMARY})
        async with self.client(manager) as client:
            await client.put("litellm/team", "canary-key")
            assert value(await client.get("litellm/team")) == "canary-key"
            with pytest.raises(UnsupportedOperationError, match="write 'all' as a whole"):
                await client.put("A", "canary-new")
            await client.put("all", '{"A":"canary-new"}')
            assert value(await client.get("A")) == "canary-new"


async def test_each_source_has_its_own_manager_and_rules() -> None:
    """Several sources: a bare name is the default one's, the others are asked by name and never stood in for."""
    first, second = Manager({"NAME": "canary-1"}), Manager({"NAME": "canary-2", "ONLY": "canary-only"})
    sources = {
        "default": (SourceConfig(name="default", system="memory", hosted_keys=frozenset({"NAME"})), first),
        "team": (SourceConfig(name="team", system="memory"), second),
    }
    async with client_with(sources, {"OTHER": "canary-env"}) as client:
        assert value(await client.get("NAME")) == "canary-1"
        assert value(await client.get("secret://team/NAME")) == "canary-2"
        assert value(await client.get("ONLY", source="team")) == "canary-only"
        assert value(await client.get("OTHER")) == "canary-env"
        with pytest.raises(SecretNotFoundError):
            await client.get("secret://team/OTHER")
        with pytest.raises(ConfigError, match=r"no source 'taem'.*'team'"):
            await client.get("secret://taem/NAME")
        assert (await client.get("secret://team/NAME")).source == "team"


def test_no_source_may_take_the_name_of_the_environment() -> None:
    """A source called 'environment' would answer for names that are not to be asked of any manager."""
    declared = SourceConfig(name="environment", system="memory")
    with pytest.raises(ConfigError, match="'environment'"):
        client_with({"environment": (declared, Manager())})


async def test_an_environment_that_was_handed_in_is_the_one_that_is_read() -> None:
    """from_provider(EnvironmentProvider(...)) reads that one, not the process's."""
    async with SecretsClient.from_provider(
        EnvironmentProvider({"NAME": "canary-own"}), environ={"NAME": "canary-no"}
    ) as client:
        assert value(await client.get("NAME")) == "canary-own"


async def test_the_environment_as_default_source_is_not_said_to_stand_in_for_itself() -> None:
    """explain() of a client without a manager says what is true."""
    client = SecretsClient(
        Config(sources={"default": SourceConfig(name="default", system="env")}), environ={"A": "canary"}
    )
    async with client:
        assert value(await client.get("A")) == "canary"
        assert client.explain("A").rule == "the environment is the default source"
        with pytest.raises(UnsupportedOperationError, match="read only"):
            await client.put("A", "canary")


async def test_writing_names_a_whole_secret() -> None:
    """A reference can say where to write; a version or field of it cannot be written."""
    manager = Manager()
    async with client_of(manager) as client:
        await client.put("os.environ/NAME", "canary-1")
        assert value(await client.get("NAME")) == "canary-1"
        await client.put("secret://default/NAME", "canary-2")
        assert value(await client.get("NAME")) == "canary-2"
        for reference in ("secret:///NAME?version=1", "secret:///NAME?field=f"):
            with pytest.raises(ConfigError, match="as a whole"):
                await client.put(reference, "canary")
    assert await _names(manager) == ["NAME"]


async def _names(manager: Manager) -> list[str]:
    await manager.open()
    return await manager.list()


async def test_endless_ways_to_write_one_name_do_not_fill_memory() -> None:
    """Of the percent-encoded forms of a reference only the one that render() writes is kept warm; all are answered."""
    name = "NAMENAME"
    async with client_of(Manager({name: "canary", "a b": "canary-space"})) as client:
        for bits in range(256):
            encoded = "".join(f"%{ord(c):02X}" if bits >> i & 1 else c for i, c in enumerate(name))
            assert value(await client.get(f"secret://default/{encoded}")) == "canary"
        assert value(await client.get("secret://default/a%20b")) == "canary-space"
        assert len(client.texts) == 2
        assert client.peek("secret://default/a%20b") is not None


async def test_errors_of_names_are_ours() -> None:
    """Whatever is asked for, what comes is one of ours."""
    async with client_of(Manager()) as client:
        for name in ("..", "%", "secret://x", "os.environ/os.environ/A", "\ud800", "secret:///a//b"):
            with pytest.raises(AsyncSecretsError):
                await client.get(name)


async def test_the_environment_does_not_stand_in_for_what_was_taken_away() -> None:
    """Deleted is not absent: somebody took the secret away, and a variable of that name does not take its place."""
    manager = Manager({"NAME": "canary-manager"})
    async with client_of(manager, {"NAME": "canary-environment"}) as client:
        await client.delete("NAME")
        with pytest.raises(SecretNotFoundError) as caught:
            await client.get("NAME")
        assert caught.value.reason == "deleted"


WRONG: list[Any] = [["NAME"], {"NAME": 1}, {"NAME"}, 5, b"NAME", object()]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: type(one).__name__)
async def test_what_is_no_text_is_a_configuration_error(wrong: Any) -> None:
    """A list where a name, version, field or source belongs is one of our errors, hashable or not."""
    told = f"is text, not {type(wrong).__name__}"
    async with client_of(Manager({"NAME": "canary"})) as client:
        for look in (client.explain, client.invalidate, client._router.route):
            with pytest.raises(InvalidNameError, match=told):
                look(wrong)
        for work in (
            client.get("NAME", version=wrong),
            client.get("NAME", field=wrong),
            client.get("NAME", source=wrong),
            client.list(source=wrong),
        ):
            with pytest.raises(ConfigError, match=told):
                await work


async def test_writing_without_a_manager_says_what_to_do() -> None:
    """Somebody who has configured nothing yet is told how to begin."""
    async with SecretsClient(Config(sources={"default": SourceConfig(name="default", system="env")})) as client:
        with pytest.raises(UnsupportedOperationError, match="asyncsecrets init sets up a local store"):
            await client.put("NAME", "canary")
