"""`resolve`: a whole document, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run

DOCUMENT = "# settings\ndatabase:\n  password: os.environ/DB_PASSWORD   # see the runbook\n  port: 5432\n"


@pytest.fixture
def document(workdir: Path, config: Path) -> Path:
    """A YAML file with one reference."""
    path = workdir / "app.yaml"
    path.write_text(DOCUMENT)
    return path


def test_masked(document: Path, cli: Run) -> None:
    """Without --reveal everything is read, and masked."""
    outcome = cli("resolve", "app.yaml")
    assert outcome.code == 0
    assert outcome.out == DOCUMENT.replace("os.environ/DB_PASSWORD", '"**********"')


@pytest.mark.shows_values("`resolve --reveal` prints values")
def test_revealed(document: Path, cli: Run) -> None:
    """With --reveal the values stand in the text; comments and layout stay."""
    assert cli("resolve", "app.yaml", "--reveal").out == DOCUMENT.replace("os.environ/DB_PASSWORD", f'"{VALUE}"')


@pytest.mark.shows_values("`resolve --reveal` prints values")
def test_as_json(document: Path, cli: Run) -> None:
    """--format json is the bare document, --json the report with it."""
    expected = {"database": {"password": VALUE, "port": 5432}}
    assert json.loads(cli("resolve", "app.yaml", "--reveal", "--format", "json").out) == expected
    report = cli("resolve", "app.yaml", "--reveal", "--json").json
    assert report["document"] == expected
    assert report["references"] == {"os.environ/DB_PASSWORD": {"source": "default", "version": "1"}}


def test_from_stdin(config: Path, cli: Run) -> None:
    """- is stdin."""
    outcome = cli("resolve", "-", stdin=DOCUMENT.encode())
    assert outcome.code == 0
    assert '"**********"' in outcome.out


@pytest.mark.parametrize("more", ["a: os.environ/MISSING\n", "a: secret://nowhere/x\n", "a: secret://Odd!\n"])
def test_all_or_nothing(more: str, document: Path, cli: Run) -> None:
    """One reference that cannot be resolved, and nothing is printed."""
    document.write_text(DOCUMENT + more)
    outcome = cli("resolve", "app.yaml", "--reveal")
    assert outcome.code in {2, 3}
    assert outcome.out == ""
    assert "could not be read" in outcome.err
    assert VALUE not in outcome.err


def test_every_failure_is_listed(document: Path, vault: VaultServer, cli: Run) -> None:
    """With --json, by reference; the exit code is that of the gravest."""
    vault.seal()
    document.write_text(DOCUMENT + "a: secret://nowhere/x\n")
    outcome = cli("resolve", "app.yaml", "--json")
    failures = outcome.json["error"]["failures"]
    assert {name: failure["family"] for name, failure in failures.items()} == {
        "os.environ/DB_PASSWORD": "unavailable",
        "secret://nowhere/x": "config",
    }
    assert outcome.code == 2


def test_a_value_that_is_no_text(workdir: Path, config: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes cannot stand in a document, masked or not."""
    monkeypatch.setenv("BLOB", "canary\udcff")
    (workdir / "app.yaml").write_text("a: os.environ/BLOB\n")
    outcome = cli("resolve", "app.yaml")
    assert (outcome.code, outcome.out) == (8, "")
    assert "canary" not in outcome.err


def test_references_within_a_text(workdir: Path, config: Path, cli: Run) -> None:
    """Are replaced where they stand, masked without --reveal; other people's placeholders stay."""
    (workdir / "app.yaml").write_text("url: pg://app:${secret:///DB_PASSWORD}@h  # why\nhome: ${HOME}\n")
    assert cli("resolve", "app.yaml").out == 'url: "pg://app:**********@h"  # why\nhome: ${HOME}\n'
    assert cli("resolve", "app.yaml", "--reveal").out == f'url: "pg://app:{VALUE}@h"  # why\nhome: ${{HOME}}\n'
    (workdir / "bad.yaml").write_text("a: {b: 'x${secret:/DB_PASSWORD}'}\n")
    outcome = cli("resolve", "bad.yaml", "--reveal")
    assert (outcome.code, outcome.out) == (2, "")
    assert "a.b: a reference within a text is not written as one" in outcome.err


def test_a_mask_within_a_url_is_one(workdir: Path, config: Path, cli: Run) -> None:
    """What stands for a value is not percent-encoded as the value is."""
    (workdir / "app.yaml").write_text("url: pg://app:${url:secret:///DB_PASSWORD}@h\n")
    assert cli("resolve", "app.yaml").out == 'url: "pg://app:**********@h"\n'
