"""What LiteLLM is answered: what is known at once, what is not known without keeping a loop that serves."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asyncsecrets.errors import AccessDeniedError, UnavailableError
from asyncsecrets.integrations.litellm.answers import Answers
from asyncsecrets.loops import spawn
from tests.client.support import denied, down


def answering(reside, manager, hosted=frozenset(), environ=None, *, negative_ttl=5.0, **options) -> Answers:
    """Answers that ask behind, too."""

    async def moved_in() -> None:
        spawn(answer.follow(), name="follow")

    resident = reside(manager, moved_in, hosted_keys=hosted or None, negative_ttl=negative_ttl)
    answer = Answers(resident, hosted, environ=environ or {}, **options)
    return answer


@pytest.fixture
def answers(reside, manager):
    """Answers of a manager's client; ``hosted`` names are the manager's alone."""

    def answers(hosted: frozenset[str] = frozenset(), environ=None, **options) -> Answers:
        return answering(reside, manager, hosted, environ or {}, **options)

    return answers


def serving(answer: Answers) -> Answers:
    """``answer``, after LiteLLM's start."""
    answer._meet(asyncio.get_running_loop())
    answer._starts.clear()
    answer._starts[asyncio.get_running_loop()] = lambda: None
    return answer


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """What is wanted is asked for at once."""
    monkeypatch.setattr("asyncsecrets.integrations.litellm.answers._LOOK", 0.001)


def gets(manager) -> list[str]:
    return [name for operation, name in manager.calls if operation == "get"]


async def until(condition) -> None:
    """Wait until what another thread does is done."""
    while not condition():
        await asyncio.sleep(0.001)


def test_off_a_loop_the_manager_is_waited_for(answers, manager):
    """A thread may wait, and what it has read is warm for all."""
    answer = answers()
    assert answer.read("KEY") == "canary-1"
    assert answer.read("KEY") == "canary-1"
    assert gets(manager) == ["KEY"]


async def test_on_a_loop_what_is_not_known_is_fetched_behind(answers, manager):
    """The loop goes on with the environment's answer, and the next reader has the manager's."""
    answer = serving(answers(environ={"KEY": "canary-environment"}))
    manager.gate = asyncio.Event()
    assert answer.read("KEY") == "canary-environment"
    assert answer.read("KEY") == "canary-environment"
    loop = answer._resident._loop
    loop.call_soon_threadsafe(manager.gate.set)
    await until(lambda: answer.read("KEY") == "canary-1")
    assert gets(manager) == ["KEY"]


async def test_what_was_on_its_way_on_another_loop_is_asked_for_anew(answers, manager):
    """In the child of a fork nothing arrives that the parent has asked for."""
    answer = serving(answers())
    answer._asked.add("KEY")
    answer._resident.start()
    await until(lambda: answer.read("KEY") == "canary-1")


async def test_a_loop_that_serves_wakes_no_other_thread(answers, monkeypatch):
    """Who wakes one lets it run first: for milliseconds, where there is much to do."""
    answer = serving(answers(environ={"FLAG": "on"}))
    answer._resident.start()
    monkeypatch.setattr(answer._resident, "begin", None)
    assert [answer.read(name) for name in ("FLAG", "KEY", "KEY")] == ["on", None, None]
    await until(lambda: answer.read("KEY") == "canary-1")


async def test_the_start_of_litellm_may_wait_on_its_loop(answers, manager):
    """Whatever the first task on a loop asks is waited for; another task's question is not."""
    answer = answers()
    assert answer.read("KEY") == "canary-1"

    async def request() -> str | None:
        return answer.read("OTHER")

    assert await asyncio.create_task(request()) is None
    await until(lambda: answer.read("OTHER") == "canary-other")


async def test_a_start_gives_a_manager_up_once(answers, manager):
    """Ninety names are not ninety deadlines."""
    answer = answers(environ={"FLAG": "on"})
    manager.failure = down
    assert answer.read("KEY") is None
    manager.gate = asyncio.Event()  # it does not answer at all any more
    assert [answer.read(name) for name in ("FLAG", *map(str, range(90)))] == ["on", *[None] * 90]


async def test_a_start_gives_a_manager_up_that_never_answers(answers, manager):
    """The reader's own patience ends before the manager's deadline: that is giving up as well."""
    answer = answers(environ={"FLAG": "on"}, limit=0.2)
    manager.gate = asyncio.Event()
    assert answer.read("KEY") is None
    begun = []
    answer._resident.begin = begun.append  # which nobody waits for any more
    assert [answer.read(name) for name in ("FLAG", "OTHER")] == ["on", None]
    assert begun == []


async def test_a_loop_in_another_thread_changes_nothing_for_the_one_that_serves(answers, manager):
    """LiteLLM runs some for a moment. No request waits because of them, and the router is changed where it is used."""
    answer = answers()
    assert answer.read("KEY") == "canary-1"

    async def ask(name: str) -> str | None:
        return answer.read(name)

    assert await asyncio.to_thread(lambda: asyncio.run(ask("OTHER"))) == "canary-other"
    assert answer.loop is asyncio.get_running_loop()
    manager.set("COLD", "canary-cold")
    assert await asyncio.create_task(ask("COLD")) is None  # not waited for
    await until(lambda: answer.read("COLD") == "canary-cold")


def test_the_loop_that_serves_takes_the_place_of_one_that_has_ended(answers):
    """LiteLLM's command has one for its start, and uvicorn another."""
    answer, kept = answers(), []

    async def serve() -> bool:
        answer.read("KEY")
        kept.append(asyncio.get_running_loop())  # as whatever was made on it may keep it
        return answer.loop is kept[-1]

    assert [asyncio.run(serve()) for _ in range(2)] == [True, True]


async def test_a_reader_on_a_loop_waits_as_long_as_is_configured(answers, manager):
    """``patience`` is enough for a manager that is quick."""
    assert serving(answers(patience=30.0)).read("KEY") == "canary-1"


async def test_absent_is_known_at_once(answers, manager):
    """What the manager does not have costs one question, and the environment answers."""
    answer = answers(environ={"FLAG": "on"})
    assert answer.read("NOWHERE") is None
    asked = gets(manager)
    assert answer.read("NOWHERE") is None
    assert gets(manager) == asked == ["NOWHERE"]


async def test_absent_is_asked_again_behind_when_it_is_no_longer_believed(reside, manager, monkeypatch):
    """A flag that is stored later is seen, and nobody waits for it, however patient."""
    answer = serving(answering(reside, manager, negative_ttl=0.0, patience=30.0))
    assert answer.read("LATER") is None
    manager.gate = asyncio.Event()
    with monkeypatch.context() as patch:
        patch.setattr(answer._resident, "begin", None)  # by which it would be waited for
        assert answer.read("LATER") is None
    manager.set("LATER", "canary-later")
    answer._resident._loop.call_soon_threadsafe(manager.gate.set)
    await until(lambda: answer.read("LATER") == "canary-later")


@pytest.mark.parametrize("failure", [down, denied])
def test_the_environment_never_answers_for_a_hosted_name(answers, manager, failure):
    """Absent, denied or down: LiteLLM gets an error or None, and not what an old variable says."""
    environ = {"KEY": "canary-stale", "GONE": "canary-stale", "FLAG": "on"}
    answer = answers(frozenset({"KEY", "GONE"}), environ)
    assert answer.read("GONE") is None
    assert not answer.is_left_to_environment("GONE")
    manager.failure = failure
    with pytest.raises((UnavailableError, AccessDeniedError)):
        answer.read("KEY")


async def test_nor_does_it_on_a_loop(answers, manager):
    """What is not known of a hosted name is not known."""
    manager.gate = asyncio.Event()
    answer = serving(answers(frozenset({"KEY"}), {"KEY": "canary-stale"}))
    assert answer.read("KEY") is None
    answer._resident._loop.call_soon_threadsafe(manager.gate.set)
    await until(lambda: answer.read("KEY") == "canary-1")


def test_a_name_that_no_secret_can_have_is_the_environment_s(answers, manager):
    """LiteLLM asks for what a request says, too."""
    answer = answers(environ={"": "canary-empty"})
    assert answer.read("") == "canary-empty"
    assert answer.read("line\nbreak") is None
    assert gets(manager) == []


def test_what_is_not_hosted_fails_without_an_error(answers, manager):
    """LiteLLM would log a traceback for each feature flag while the manager is down."""
    manager.failure = down
    assert answers(environ={"FLAG": "on"}).read("FLAG") == "on"


def test_many_threads_ask_once(answers, manager):
    """One flight for whoever asks."""
    answer = answers()
    answer._resident.start()
    found: list[str | None] = []
    readers = [threading.Thread(target=lambda: found.append(answer.read("KEY"))) for _ in range(16)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(10)
    assert found == ["canary-1"] * 16
    assert gets(manager) == ["KEY"]


def test_no_more_absent_names_are_remembered_than_there_is_room_for(answers, monkeypatch):
    """Whoever chooses names does not choose how much memory they take."""
    monkeypatch.setattr("asyncsecrets.integrations.litellm.answers._REMEMBERED", 2)
    answer = answers()
    for name in ("A", "B", "C"):
        answer.read(name)
    assert list(answer._absent) == ["B", "C"]


def test_what_has_to_be_there_is_news_if_it_is_not(reside, manager):
    """LiteLLM logs it; a feature flag that is not set is none."""
    answer = Answers(reside(manager), frozenset({"MASTER"}), frozenset({"URL"}), environ={})
    assert [answer.is_left_to_environment(name) for name in ("MASTER", "URL", "FLAG")] == [False, False, True]
