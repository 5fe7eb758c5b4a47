"""No key shows: every public call, while everything goes wrong, with the variables of all frames."""

from __future__ import annotations

import asyncio

from asyncsecrets import VirtualKeys
from asyncsecrets.errors import AccessDeniedError, UnavailableError
from tests.canaries import CANARY
from tests.test_frames import TURNS, methods, public
from tests.virtual_keys.support import Manager, Times, client_of, keys_of
from tests.walk import Call, Walk, Watch

KEY = f"sk-{CANARY}-Xw93kd"


def calls_of(keys: VirtualKeys) -> dict[str, Call]:
    """Every public method; the first word of each key is its name."""
    return {
        "create": lambda: keys.create("team-x"),
        "create what is there": lambda: keys.create("team-a"),
        "store": lambda: keys.store("team-y", KEY),
        "store what is no key": lambda: keys.store("team-y", [KEY]),  # type: ignore[arg-type]
        "store what is no text": lambda: keys.store("team-y", f"{KEY}\ud800"),
        "store nowhere": lambda: keys.store("", KEY),
        "rotate": lambda: keys.rotate("team-a"),
        "rotate to a key": lambda: keys.rotate("team-b", KEY),
        "rotate nothing": lambda: keys.rotate("nobody", KEY),
        "rotate with an odd grace": lambda: keys.rotate("team-b", KEY, grace=KEY),  # type: ignore[arg-type]
        "rename": lambda: keys.rename("team-c", "team-d", KEY),
        "rename to what is there": lambda: keys.rename("team-a", "team-b", KEY),
        "delete": lambda: keys.delete("team-e"),
        "get": lambda: keys.get("team-a"),
        "list": keys.list,
        "warm_up": keys.warm_up,
        "verify": lambda: keys.verify(KEY),
        "verify of an alias": lambda: keys.verify(KEY, "team-a"),
        "verify what is no key": lambda: keys.verify([KEY]),  # type: ignore[arg-type]
        "reconcile": keys.reconcile,
        "reconcile and finish": lambda: keys.reconcile("finish"),
        "reconcile and undo": lambda: keys.reconcile("undo"),
        "team": lambda: keys.team({"secret_manager_settings": {"token": KEY}}),
        "name_of": lambda: keys.name_of("team-a"),
        "alias_in": lambda: keys.alias_in("other/team-a"),
    }


async def walk_keys(walk: Walk) -> None:
    """Under whatever can go wrong."""
    manager = Manager()
    async with client_of(manager) as client:
        keys = keys_of(client, Times(), patience=0)

        async def under(what: str, **options: int) -> None:
            manager.fail = lambda operation, name: None
            for alias in ("team-a", "team-b", "team-c", "team-e"):
                manager.set(f"litellm/{alias}", f"{KEY}-{alias}")
            manager.fail = failing.get(what, manager.fail)
            await walk.under(what, calls_of(keys), **options)

        failing = {
            "denial": lambda operation, name: AccessDeniedError("memory: no", provider="memory"),
            "an outage of writes": lambda operation, name: (
                UnavailableError("memory: down", provider="memory") if operation == "put" else None
            ),
            "a key that cannot be written": lambda operation, name: (
                RuntimeError(KEY) if (operation, name) == ("put", "litellm/team-a") else None
            ),
            "a record that is none": lambda operation, name: (
                manager.set("litellm/.rotation/team-a", f'"{KEY}"') and None
            ),
        }
        for what in ("nothing", *failing):
            await under(what)
        manager.remove("litellm/.rotation/team-a")
        for turns in TURNS:
            await under(f"a cancellation after {turns} turns", cancel_after=turns)
        await client.aclose()
        await under("a client that is closed")


def test_no_key_shows() -> None:
    """In no frame, task or future, and in nothing that is raised."""
    watch = Watch()
    walk = Walk(watch, frozenset())
    with asyncio.Runner() as runner, watch.over(runner.get_loop()):
        runner.run(walk_keys(walk))
    assert walk.found == set()
    assert watch.found == set()


def test_every_method_is_walked() -> None:
    """Also one that is added tomorrow."""
    keys = keys_of(client_of(Manager()), Times())
    assert public(VirtualKeys) - methods(calls_of(keys)) == set()
