"""A provider key that was rotated: LiteLLM and its router change together. The real router is in test_real.py."""

from __future__ import annotations

import asyncio
import copy
import sys
import types

import pytest

from asyncsecrets.integrations.litellm.rotated import Rotated, models_of
from asyncsecrets.secret import Secret

DOCUMENT = {
    "model_list": [
        {"model_name": "a", "litellm_params": {"model": "x/a", "api_key": "os.environ/CHAT", "rpm": "5"}},
        {"model_name": "b", "litellm_params": {"api_key": "os.environ/CHAT", "aws": "os.environ/AWS"}},
        {"model_name": "c", "litellm_params": {"api_key": "os.environ/CHAT"}, "model_info": {"id": "own"}},
        {"model_name": "d", "litellm_params": {"api_key": "plain", "text": "secret://default/CHAT"}},
        {"model_name": "e", "litellm_params": "os.environ/CHAT"},
        "os.environ/CHAT",
    ]
}


class Router:
    """As LiteLLM's, with ids that are its parameters."""

    def __init__(self, entries):
        self.deployments = {}
        for entry in entries:
            own = entry.get("model_info", {}).get("id") or self.generate_model_id(
                entry["model_name"], entry["litellm_params"]
            )
            self.deployments[own] = dict(entry["litellm_params"])
        self.broken = False

    @staticmethod
    def generate_model_id(model_group, litellm_params):
        return f"{model_group}:{sorted(litellm_params.items())}"

    def get_deployment(self, model_id):
        found = self.deployments.get(model_id)
        return found and types.SimpleNamespace(
            litellm_params=types.SimpleNamespace(**found), model_info=types.SimpleNamespace(id=model_id)
        )

    def upsert_deployment(self, deployment):
        if self.broken:
            raise ValueError("canary: no such provider")
        self.deployments[deployment.model_info.id] = vars(deployment.litellm_params)

    def delete_deployment(self, model_id):
        self.deployments.pop(model_id, None)

    def served(self):
        """How many models have a deployment: each of the file has one of ``x/a``, ``aws`` and neither."""
        return len({(p.get("model"), p.get("aws") is not None) for p in self.deployments.values()})

    def keys(self):
        return [parameters["api_key"] for parameters in self.deployments.values()]


def secret(text: str) -> Secret:
    return Secret(text, name="CHAT")


class Proxy:
    """LiteLLM's proxy, which has resolved its file with what it was given."""

    def __init__(self, monkeypatch, current):
        self.current = current
        self.rotated = Rotated(
            models_of(DOCUMENT),
            {"MASTER": "general_settings.master_key"},
            peek=self.current.get,
            loop=asyncio.get_running_loop,
        )
        self.module = types.SimpleNamespace(llm_router=None, proxy_config=types.SimpleNamespace(config={}))
        monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", self.module)

    def resolve(self):
        entries = copy.deepcopy(DOCUMENT["model_list"][:3])
        for entry in entries:
            for key, value in entry["litellm_params"].items():
                if value.startswith("os.environ/"):
                    name = value.removeprefix("os.environ/")
                    entry["litellm_params"][key] = self.rotated.given(name, self.current[name]).reveal()
        self.module.proxy_config.config = {"model_list": entries}
        return entries

    def start(self):
        self.module.llm_router = Router(self.resolve())
        return self.module.llm_router

    async def rotate(self, name: str, text: str):
        self.hear(name, text)
        await self.settle()

    def hear(self, name: str, text: str):
        self.current[name] = secret(text)
        self.rotated.heard(name, self.current[name])

    async def settle(self):
        await asyncio.sleep(0)  # it has been told, if there is a loop
        if self.rotated._changing is not None:
            await self.rotated._changing

    def compare(self):
        """As LiteLLM does with a database: what the file does not say is taken out of the router."""
        said = Router(self.resolve()).deployments
        router = self.module.llm_router
        router.deployments = {key: router.deployments[key] for key in router.deployments if key in said}


@pytest.fixture
def proxy(monkeypatch):
    return Proxy(monkeypatch, {"CHAT": secret("canary-1"), "AWS": secret("canary-aws"), "OTHER": secret("canary-o")})


def test_the_secrets_of_a_model_are_those_that_litellm_resolves():
    """References of LiteLLM's own kind, as parameters and nowhere deeper."""
    assert models_of(DOCUMENT) == {0: {"api_key": "CHAT"}, 1: {"api_key": "CHAT", "aws": "AWS"}, 2: {"api_key": "CHAT"}}
    assert models_of({}) == models_of({"model_list": "x"}) == {}


async def test_every_deployment_has_the_new_key_and_the_id_that_litellm_computes(proxy):
    """So a comparison with the file, resolved anew, finds each of them; other parameters stay."""
    router = proxy.start()
    for text in ("canary-2", "canary-3"):
        await proxy.rotate("CHAT", text)
        assert router.keys() == [text] * 3
        expected = Router(proxy.resolve())
        assert router.deployments == expected.deployments
    await proxy.rotate("AWS", "canary-aws-2")
    assert router.deployments == Router(proxy.resolve()).deployments
    assert router.deployments["own"] == {"api_key": "canary-3"}


async def test_the_loop_is_free_between_two_models(proxy):
    """The router takes milliseconds for each, and everybody else waits for that loop."""
    router, turns, changed = proxy.start(), 0, []
    upsert, delete = router.upsert_deployment, router.delete_deployment
    router.upsert_deployment = lambda deployment: (changed.append(turns), upsert(deployment))
    router.delete_deployment = lambda model_id: (changed.append(turns), delete(model_id))
    proxy.hear("CHAT", "canary-2")
    while router.keys() != ["canary-2"] * 3:
        turns += 1
        await asyncio.sleep(0)
    assert len(changed) == len(set(changed)) == 5


@pytest.mark.parametrize("every", [1, 2, 3])
async def test_a_comparison_at_any_moment_takes_no_model_away(proxy, every):
    """LiteLLM compares its router with the file every few seconds."""
    router = proxy.start()
    for text in ("canary-2", "canary-3"):
        proxy.hear("CHAT", text)
        for turn in range(20):
            await asyncio.sleep(0)
            if turn % every == 0:
                proxy.compare()
            assert router.served() == 3
        assert router.keys() == [text] * 3
        assert router.deployments == Router(proxy.resolve()).deployments


async def test_two_secrets_of_one_model_are_changed_one_after_another(proxy):
    """As the two parts of a pair of keys are rotated at once; and one of them once more meanwhile."""
    router = proxy.start()
    proxy.hear("CHAT", "canary-2")
    proxy.hear("AWS", "canary-aws-2")
    await asyncio.sleep(0)
    proxy.hear("CHAT", "canary-3")
    await proxy.settle()
    assert router.keys() == ["canary-3"] * 3
    assert router.deployments == Router(proxy.resolve()).deployments
    assert proxy.rotated.given("AWS", secret("canary-other")).equals("canary-aws-2")


async def test_a_change_that_was_left_behind_keeps_no_other_from_being_made(proxy):
    """In the child of a fork: the parent's loop, and what was under way on it, do not run there."""
    router, loop = proxy.start(), asyncio.new_event_loop()
    proxy.rotated._changing = loop.create_future()
    await proxy.rotate("CHAT", "canary-2")
    assert router.keys() == ["canary-2"] * 3
    loop.close()


async def test_a_router_that_litellm_has_made_meanwhile_is_changed(proxy):
    """It has been made of the file as it resolved then."""
    proxy.start()
    proxy.hear("CHAT", "canary-2")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    router = proxy.start()
    await proxy.settle()
    assert router.keys() == ["canary-2"] * 3
    assert router.deployments == Router(proxy.resolve()).deployments


async def test_litellm_is_given_what_its_router_has(proxy):
    """Between a rotation and the step in which the router changes, the file resolves as it did."""
    router = proxy.start()
    proxy.current["CHAT"] = secret("canary-2")
    assert router.deployments == Router(proxy.resolve()).deployments
    assert proxy.rotated.given("OTHER", secret("canary-now")).equals("canary-now")


async def test_a_key_that_is_rotated_while_litellm_starts_reaches_its_router(proxy, monkeypatch):
    """It has resolved the file, and has no router yet."""
    monkeypatch.setattr("asyncsecrets.integrations.litellm.rotated._LOOK_AGAIN", 0.0)
    entries = proxy.resolve()
    proxy.hear("CHAT", "canary-2")
    await asyncio.sleep(0)
    proxy.module.llm_router = Router(entries)
    while proxy.module.llm_router.keys() != ["canary-2"] * 3:
        await asyncio.sleep(0)


async def test_a_program_without_a_proxy_is_given_what_is_current(proxy, monkeypatch):
    """There is no router to wait for."""
    monkeypatch.delitem(sys.modules, "litellm.proxy.proxy_server")
    assert proxy.rotated.given("CHAT", proxy.current["CHAT"]).equals("canary-1")
    await proxy.rotate("CHAT", "canary-2")
    assert proxy.rotated.given("CHAT", proxy.current["CHAT"]).equals("canary-2")


def test_where_no_loop_is_known_the_current_value_is_given(proxy):
    """Nobody has asked on one yet."""
    proxy.rotated._loop = lambda: None
    proxy.rotated.given("CHAT", secret("canary-1"))
    proxy.rotated.heard("CHAT", secret("canary-2"))
    assert proxy.rotated.given("CHAT", secret("canary-2")).equals("canary-2")


async def test_a_model_that_could_not_be_changed_is_told_by_name(proxy, caplog):
    """What LiteLLM says of it stays out of the log: it may show parameters."""
    router = proxy.start()
    router.broken = True
    await proxy.rotate("CHAT", "canary-2")
    told = [record.getMessage() for record in caplog.records if "goes on with the old one" in record.getMessage()]
    assert len(told) == 1
    assert told[0].endswith("in the models a, b, c")
    assert router.keys() == ["canary-1"] * 3


async def test_what_litellm_reads_once_is_told_to_need_a_restart(proxy, caplog):
    """A master key that was rotated is not the one that the proxy accepts."""
    await proxy.rotate("MASTER", "canary-master-2")
    told = [record.getMessage() for record in caplog.records if "MASTER" in record.getMessage()]
    assert len(told) == 1
    assert "general_settings.master_key" in told[0]
    await proxy.rotate("NOTHING", "canary-2")
