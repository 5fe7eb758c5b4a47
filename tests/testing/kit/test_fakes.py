"""What a program under test finds: its own configuration, and the secrets of the test."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asyncsecrets import SecretsClient, errors, get_secret
from asyncsecrets.testing.kit.fakes import FakeSecrets

MANAGERS = [
    "hashicorp_vault", "aws_secret_manager", "aws_kms", "azure_key_vault", "google_secret_manager", "google_kms",
    "local", "custom", "env",
]  # fmt: skip


def config(system="hashicorp_vault", **settings):
    return {"general_settings": {"key_management_system": system, "key_management_settings": settings}}


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch, tmp_path):
    """No configuration is found, and no manager."""
    monkeypatch.chdir(tmp_path)
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "ASYNCSECRETS_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("system", MANAGERS)
async def test_an_app_finds_them_by_its_own_configuration(fake_secrets, system):
    """Whatever its manager: nothing is needed to reach one, and nobody asks one."""
    more = {"custom_secret_manager": "nowhere.Class"} if system == "custom" else {}
    fake_secrets.set("DB", "canary-db")
    async with SecretsClient.from_config(config(system, **more)):
        assert (await get_secret("DB")) == "canary-db"
        with pytest.raises(errors.SecretNotFoundError):
            await get_secret("OTHER")
    assert fake_secrets.count("DB") == 1
    assert fake_secrets.count(operation="get") == 2


async def test_get_secret_opens_a_client_that_finds_them(fake_secrets, tmp_path):
    """From the configuration that it finds, which is obeyed."""
    (tmp_path / "config.yaml").write_text(
        "general_settings: {key_management_system: hashicorp_vault}\n"
        "environment_variables: {ALIAS: os.environ/DB, GIVEN: canary-given}\n"
    )
    fake_secrets.set("DB", "canary-db")
    assert await get_secret("ALIAS") == "canary-db"
    assert await get_secret("GIVEN") == "canary-given"
    assert [(call.operation, call.name, call.source) for call in fake_secrets.calls[:1]] == [("get", "DB", "default")]


async def test_settings_need_no_environment(fake_secrets):
    """A reference to a variable that is not set, in a setting that leads to a manager, is no error."""
    fake_secrets.set("DB", "canary-db")
    settings = {"addr": "os.environ/NO_SUCH_ADDR", "refresh_interval": "os.environ/NO_SUCH_INTERVAL"}
    async with SecretsClient.from_config(config(**settings)) as client:
        assert (await client.get("DB")).equals("canary-db")
    with pytest.raises(errors.ConfigError, match="nonsense"):
        SecretsClient.from_config(config(nonsense="1"))


async def test_hosted_keys_and_access_mode_are_obeyed(fake_secrets):
    """What is read from the environment is set by the same name; what may not be written is not."""
    fake_secrets.set("HOSTED", "canary-hosted")
    fake_secrets.set("OTHER", "canary-other")
    async with SecretsClient.from_config(config(hosted_keys=["HOSTED"])) as client:
        assert await get_secret("HOSTED") == "canary-hosted"
        assert await get_secret("OTHER") == "canary-other"
        assert [call.source for call in fake_secrets.calls] == ["default", "environment"]
        with pytest.raises(errors.AccessModeError):
            await client.put("HOSTED", "canary-new")


async def test_fields_members_and_sources(fake_secrets):
    """A mapping has fields; names are members of the primary secret; one source has what another has not."""
    document = config(primary_secret_name="all")
    document["asyncsecrets"] = {"sources": {"vault": config()["general_settings"]}}
    fake_secrets.set("DB", "canary-db")
    fake_secrets.set("pair", {"user": "canary-user", "key": "canary-key"}, source="vault")
    async with SecretsClient.from_config(document) as client:
        assert await get_secret("DB") == "canary-db"
        assert fake_secrets.calls[-1].name == "all"
        assert await get_secret("secret://vault/pair") == "canary-key"
        assert await get_secret("secret://vault/pair?field=user") == "canary-user"
        assert await get_secret("secret://vault/DB") == "canary-db"
        with pytest.raises(errors.SecretNotFoundError):
            await get_secret("pair")
        fake_secrets.set("DB", "canary-new")
        assert await get_secret("DB") == "canary-new"
        assert (await client.get("pair", source="vault", field="user")).equals("canary-user")


@pytest.mark.parametrize("system", ["hashicorp_vault", "aws_secret_manager"])
async def test_what_the_program_stores(fake_secrets, system):
    """It is there for the program and for the test, in versions, until it is deleted."""
    async with SecretsClient.from_config(config(system, access_mode="read_and_write")) as client:
        written = await client.put("A", "canary-a")
        assert written.equals("canary-a")
        await client.put("A", "canary-b", cas=written.version)
        with pytest.raises(errors.ConflictError):
            await client.put("A", "canary-c", cas=written.version)
        assert await get_secret("A") == "canary-b"
        assert fake_secrets.value("A").equals("canary-b")
        assert (await client.get("A", version=written.version)).equals("canary-a")
        assert await client.list() == ["A"] == fake_secrets.names()
        await client.delete("A")
        with pytest.raises(errors.SecretNotFoundError):
            await get_secret("A")
        await client.restore("A")
        assert await get_secret("A") == "canary-b"
    assert fake_secrets.count("A", operation="put") == 3


async def test_set_is_seen_at_once_and_a_rotation_when_it_is_refreshed(fake_secrets):
    """Which is what the manager's clients do."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(config("aws_secret_manager")) as client:
        assert await get_secret("DB") == "canary-1"
        fake_secrets.set("DB", "canary-2")
        assert await get_secret("DB") == "canary-2"
        new = fake_secrets.rotate("DB")
        assert "canary" not in repr(new)
        assert new.reveal() not in repr(new)
        assert await get_secret("DB") == "canary-2"
        await client.refresh("DB")
        assert await get_secret("DB") == new.reveal()
        fake_secrets.set("DB", None)
        assert await get_secret("DB", "gone") == "gone"
        fake_secrets.set("DB", b"canary-\xff")
        assert (await client.get("DB")).reveal_bytes() == b"canary-\xff"
        fake_secrets.remove("DB")
        assert await get_secret("DB", "gone") == "gone"


async def test_a_manager_that_fails(fake_secrets):
    """As often as the test says, with the error that it says; what is cached is served."""
    fake_secrets.set("DB", "canary-db")
    fake_secrets.set("COLD", "canary-cold")
    async with SecretsClient.from_config(config()) as client:
        assert await get_secret("DB") == "canary-db"
        with fake_secrets.fail() as fault:
            assert await get_secret("DB") == "canary-db"
            with pytest.raises(errors.UnavailableError, match="COLD"):
                await client.get("COLD")
            assert fault.hits == 3  # attempts
        fake_secrets.fail("COLD", times=2)
        assert await get_secret("COLD") == "canary-cold"
        fake_secrets.fail("DENIED", error=errors.AccessDeniedError)
        with pytest.raises(errors.AccessDeniedError) as caught:
            await get_secret("DENIED")
        assert caught.value.provider == "hashicorp_vault"
        fake_secrets.fail("OURS", error=errors.RateLimitedError("slowly", provider="x", retry_after=99.0))
        with pytest.raises(errors.RateLimitedError):
            await get_secret("OURS")


async def test_after_recover_nobody_is_held_back(fake_secrets):
    """The outage that the client had made out is over as well."""
    async with SecretsClient.from_config(config()) as client:
        fake_secrets.fail()
        for name in ("A", "B", "C"):
            with pytest.raises(errors.UnavailableError):
                await get_secret(name)
        calls = len(fake_secrets.calls)
        for name in ("D", "E", "F"):
            with pytest.raises(errors.UnavailableError):
                await get_secret(name)
        assert len(fake_secrets.calls) <= calls + 2  # most are held back: the manager is not asked
        assert client.health().state == "down"
        fake_secrets.set("G", "canary-g")
        fake_secrets.recover()
        assert await get_secret("G") == "canary-g"


async def test_a_delay_holds_one_call_up(fake_secrets):
    """Others are answered meanwhile."""
    fake_secrets.set("SLOW", "canary-slow")
    fake_secrets.set("FAST", "canary-fast")
    with fake_secrets.delay(0.02, "SLOW"):
        slow = asyncio.create_task(get_secret("SLOW"))
        assert await get_secret("FAST") == "canary-fast"
        assert not slow.done()
        assert await slow == "canary-slow"


async def test_the_environment_is_asked_only_if_the_test_says_so(fake_secrets, monkeypatch, tmp_path):
    """Neither the variables of the process nor a .env."""
    monkeypatch.setenv("VARIABLE", "canary-variable")
    (tmp_path / ".env").write_text("IN_FILE=canary-file\n")
    for settings in (config(), config("env"), config(hosted_keys=["X"])):
        async with SecretsClient.from_config(settings):
            assert await get_secret("VARIABLE", "none") == "none"
            assert await get_secret("IN_FILE", "none") == "none"
    fake_secrets.ask_environment()
    for settings in (config(), config("env"), config(hosted_keys=["X"])):
        async with SecretsClient.from_config(settings):
            assert await get_secret("VARIABLE") == "canary-variable"


async def test_a_provider_that_is_made_already_stays(fake_secrets):
    """Whoever hands one in has chosen it."""
    from asyncsecrets.providers.memory import MemoryProvider

    fake_secrets.set("DB", "canary-fake")
    async with SecretsClient.from_provider(MemoryProvider({"DB": "canary-own"})):
        assert await get_secret("DB") == "canary-own"


async def test_a_client_of_its_own(fake_secrets):
    """For what is given its client: it reads and writes these secrets, and is the default of nobody."""
    fake_secrets.set("DB", "canary-db")
    client = fake_secrets.client
    assert (await client.get("DB")).equals("canary-db")
    await client.put("NEW", "canary-new")
    assert fake_secrets.value("NEW", source="default").equals("canary-new")


@pytest.mark.parametrize(
    ("misuse", "error"),
    [
        (lambda fake: fake.set("X", 12), errors.ConfigError),
        (lambda fake: fake.set("X", {"x": {1, 2}}), errors.ConfigError),
        (lambda fake: fake.set("", "canary"), errors.InvalidNameError),
        (lambda fake: fake.rotate("X", 1.5), errors.ConfigError),
        (lambda fake: fake.fail(error=ValueError), errors.ConfigError),
        (lambda fake: fake.fail(error=ValueError("canary")), errors.ConfigError),
        (lambda fake: fake.fail(times=0), errors.ConfigError),
        (lambda fake: fake.delay(-1), errors.ConfigError),
        (lambda fake: fake.delay("1"), errors.ConfigError),
        (lambda fake: fake.value("X"), errors.SecretNotFoundError),
    ],
)
def test_misuse_is_told(fake_secrets, misuse, error):
    """By an error of ours, without the value."""
    with pytest.raises(error) as caught:
        misuse(fake_secrets)
    assert "canary" not in str(caught.value)


def test_clients_of_before_stand_on_the_kit_and_get_their_own_back():
    """A client of a module that was imported before; nothing of one test is left for the next."""
    early = SecretsClient.from_config(config("env"), environ={"DB": "canary-real"})

    def read():
        return asyncio.run(early.get("DB")).reveal()

    assert read() == "canary-real"
    with FakeSecrets().installed() as first:
        first.set("DB", "canary-first")
        assert read() == "canary-first"
    with FakeSecrets().installed() as second:
        with pytest.raises(errors.SecretNotFoundError):
            read()
        second.set("DB", "canary-second")
        assert read() == "canary-second"
    assert read() == "canary-real"


async def test_an_app_that_runs_once_per_process_sees_each_test_its_own(fake_secrets):
    """Also where it is warm, had an outage, or has seen a newer version."""
    with FakeSecrets("session").installed() as session:
        session.set("SHARED", "canary-shared")
        async with SecretsClient.from_config(config(access_mode="read_and_write")) as app:
            for turn in range(2):
                with FakeSecrets().installed() as kit:
                    assert await get_secret("SHARED") == "canary-shared"
                    assert await get_secret("DB", "none") == "none"
                    for version in range(3 - turn):
                        kit.set("DB", f"canary-{turn}-{version}")
                        assert await get_secret("DB") == f"canary-{turn}-{version}"
                    await app.put("WRITTEN", "canary-written")
                    kit.fail()
                    for name in ("A", "B", "C", "D"):
                        with pytest.raises(errors.UnavailableError):
                            await app.get(name)
                    assert app.health().state != "fresh"
            assert await get_secret("DB", "none") == "none"
            assert await get_secret("WRITTEN", "none") == "none"
            assert await get_secret("SHARED") == "canary-shared"
            assert session.count("SHARED") >= 3


async def test_tests_that_share_an_event_loop_share_no_client(monkeypatch, tmp_path):
    """Neither the one that get_secret opened, nor that one was closed."""
    with FakeSecrets().installed() as kit:
        async with kit.client:
            pass
        with pytest.raises(errors.ClosedError):
            await get_secret("DB")
    with FakeSecrets().installed() as kit:
        kit.set("DB", "canary-1")
        assert await get_secret("DB") == "canary-1"
        (tmp_path / "config.yaml").write_text("environment_variables: {DB: canary-2}\n")
    with FakeSecrets().installed():
        assert await get_secret("DB") == "canary-2"
    await asyncio.sleep(0)


async def test_who_follows_a_value_follows_the_tests(fake_secrets):
    """A watcher of an app that goes on sees what the next test sets."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(config()) as app:
        seen = app.watch("DB")
        assert (await anext(seen)).equals("canary-1")
        with FakeSecrets().installed() as kit:
            kit.set("DB", "canary-2")
            assert (await anext(seen)).equals("canary-2")
        assert (await anext(seen)).equals("canary-1")
        await seen.aclose()


def test_an_app_in_another_thread(fake_secrets):
    """What the test sets is what the next request sees, also while the app is under way."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def asked(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    try:
        app = SecretsClient.from_config(config())
        asked(app.__aenter__())
        for number in range(20):
            fake_secrets.set("DB", f"canary-{number}")
            assert asked(app.get("DB")).equals(f"canary-{number}")
        with FakeSecrets().installed() as kit:
            kit.remove("DB")
            with pytest.raises(errors.SecretNotFoundError):
                asked(app.get("DB"))
        assert asked(app.get("DB")).equals("canary-19")
        asked(app.aclose())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
