"""asyncsecrets keys: made, listed, rotated, renamed, deleted, and what was left half done."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from asyncsecrets.secret import Secret
from asyncsecrets.testing.vault_server import VaultServer
from asyncsecrets.virtual_keys import records
from asyncsecrets.virtual_keys.records import Pending, Record
from tests.cli.conftest import Run, on_terminal, vault_settings, write_config

GIVEN = "sk-canary-given"


@pytest.fixture(autouse=True)
def stores(vault: VaultServer, workdir: Path) -> None:
    """A configuration that stores virtual keys."""
    write_config(workdir, {"general_settings": vault_settings(vault, store_virtual_keys="true")})


def kept(vault: VaultServer, name: str) -> str:
    return vault.read_secret(name)["key"]


def test_life(cli: Run, vault: VaultServer) -> None:
    """What is piped gets the key and nothing else; the rest says what was done."""
    made = cli("keys", "create", "team-a")
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{43}", made.out)
    assert kept(vault, "litellm/team-a") == made.out
    rotated = cli("keys", "rotate", "team-a", "--grace", "60")
    assert kept(vault, "litellm/team-a") == rotated.out != made.out
    assert "accepted until 20" in rotated.err
    assert cli("keys", "rotate", "team-a", "--grace", "0").err == ""
    assert cli("keys", "rename", "team-a", "team\nb").out == "renamed  team-a  team\\nb  default\n"
    assert cli("keys").out == "team\\nb\n"
    assert cli("keys", "list", "--json").json == {"source": "default", "aliases": ["team\nb"]}
    assert cli("keys", "delete", "team\nb", "--yes").out == "deleted  team\\nb  default\n"
    assert cli("keys", "list").out == ""
    assert cli("keys", "rotate", "team-a").code == 3


def test_a_key_is_deleted_only_after_a_yes(cli: Run, vault: VaultServer) -> None:
    """On a terminal, where the alias is shown as it may be printed; anything else changes nothing, and says so."""
    cli("keys", "create", "team\na")
    code, shown = on_terminal(["keys", "delete", "team\na"], b"n\n", after=b"?")
    assert (code, b"delete the key team\\na at source default?" in shown, b"nothing was changed" in shown) == (
        7,
        True,
        True,
    )
    assert cli("keys").out == "team\\na\n"
    assert on_terminal(["keys", "delete", "team\na"], b"y\n", after=b"?")[0] == 0
    assert cli("keys").out == ""


def test_json_shows_a_key_only_when_asked(cli: Run, vault: VaultServer) -> None:
    """Such documents end up in logs."""
    document = cli("keys", "create", "team-a", "--json").json
    assert document == {"alias": "team-a", "name": "litellm/team-a", "version": "1", "source": "default", "key": None}
    document = cli("keys", "rotate", "team-a", "--json", "--reveal").json
    assert document["key"] == kept(vault, "litellm/team-a")
    assert document["until"].endswith("Z")


def test_options_stand_wherever_they_are_put(cli: Run) -> None:
    """Before, behind and between the words; what begins with a hyphen stands behind two."""
    assert cli("keys", "create", "--json", "team-a").json["alias"] == "team-a"
    assert cli("keys", "--json", "create", "team-b", "--reveal").json["key"].startswith("sk-")
    assert cli("keys", "rename", "--json", "team-a", "team-c").json["to"] == "team-c"
    assert cli("keys", "create", "--", "-x").code == 0
    assert cli("keys").out == "-x\nteam-b\nteam-c\n"


def test_a_key_that_was_made_elsewhere(cli: Run, vault: VaultServer) -> None:
    """From stdin, and never from the command line."""
    assert cli("keys", "import", "team-a", stdin=GIVEN.encode()).out == "stored  team-a  default\n"
    assert kept(vault, "litellm/team-a") == GIVEN
    for stdin in (b"", GIVEN.encode() + b"\n", b"\xff"):
        assert cli("keys", "import", "team-b", stdin=stdin).code == 2
    refused = cli("keys", "import", "team-b", GIVEN)
    assert (refused.code, "canary" in refused.err) == (2, False)
    assert "never a key" in refused.err
    assert cli("keys", "import", "team-a", stdin=b"sk-canary-other").code == 6
    assert cli("keys", "import", "team-a", "--replace", stdin=b"sk-canary-other").code == 0
    assert kept(vault, "litellm/team-a") == "sk-canary-other"


@pytest.mark.parametrize(
    "argv",
    [
        ["begin"],
        ["create"],
        ["create", "a", "b"],
        ["list", "a"],
        ["rename", "a"],
        ["create", "a", "--finish"],
        ["reconcile", "--finish", "--undo"],
        ["rotate", "a", "--grace", "-1"],
        ["rotate", "a", "--grace", "1e9"],
        ["rotate", "a", "--grace", "999999999999"],
        ["delete", "a"],
        ["delete", "a", "--json"],
        ["list", "--yes"],
    ],
)
def test_what_does_not_go_together(cli: Run, vault: VaultServer, argv: list[str]) -> None:
    """Is said before anything is sent."""
    vault.requests.clear()
    assert cli("keys", *argv).code == 2
    assert vault.requests == []


def test_a_source_that_stores_none(cli: Run, vault: VaultServer, workdir: Path) -> None:
    """The remedy is said; what only looks is allowed."""
    write_config(workdir, {"general_settings": vault_settings(vault)})
    vault.requests.clear()
    refused = cli("keys", "create", "team-a")
    assert (refused.code, vault.requests) == (7, [])
    assert "store_virtual_keys: true" in refused.err
    assert cli("keys", "list").code == 0


def test_what_was_left_half_done(cli: Run, vault: VaultServer) -> None:
    """It is listed, and an exit code says that there is something to do; then it is finished."""
    assert cli("keys", "reconcile").out == "nothing to reconcile\n"
    vault.write_secret("litellm/team-a", {"key": "sk-canary-old"})
    old, new = Secret("sk-canary-old", name="k"), Secret(GIVEN, name="k")
    begun = Record(at=1.0).begun(Pending("rotation", "1", old, new, time.time() - 60, 3600.0))
    text = records.written("r", begun).reveal()
    vault.write_secret("litellm/.rotation/team-a", {"key": text})
    young = cli("keys", "reconcile", "--finish")
    assert (young.code, "under_way rotation" in young.out) == (0, True)
    told = cli("keys", "reconcile", "--patience", "30")
    assert (told.code, "half_done rotation" in told.out, "--finish" in told.err) == (6, True, True)
    vault.write_secret("litellm/.rotation/other", {"key": "no record"})
    damaged = cli("keys", "reconcile")
    assert (damaged.code, "damaged" in damaged.out, "look who wrote it" in damaged.out) == (6, True, True)
    vault.write_secret("litellm/.rotation/other", {"key": records.written("r", Record()).reveal()})
    fixed = cli("keys", "reconcile", "--undo").out.splitlines()
    assert [(row.split()[0], row.split()[-1]) for row in fixed[1:]] == [("other", "fixed"), ("team-a", "-")]
    found = cli("keys", "reconcile", "--patience", "30", "--finish", "--json")
    [finding] = found.json["findings"]
    assert (found.code, finding["state"], finding["fixed"], finding["problem"]) == (0, "half_done", True, None)
    assert kept(vault, "litellm/team-a") == GIVEN
    assert "in_grace" in cli("keys", "reconcile").out
