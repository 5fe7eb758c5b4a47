"""The command line itself: parsing, errors that repeat nothing, exit codes, what is imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asyncsecrets import __version__
from asyncsecrets.cli import app, main
from asyncsecrets.cli.console import Console
from asyncsecrets.cli.exits import Family
from tests.cli.conftest import VALUE, Run, spawn

CANARY = "canary-typed-by-mistake"


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--help names every command and the exit codes; --version is one line."""
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit) as end:
            main([option])
        assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"    {name} " in printed for name in app.COMMANDS)
    assert "exit codes: 0 ok" in printed
    assert printed.endswith(f"asyncsecrets {__version__}\n")


@pytest.mark.parametrize("command", app.COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`COMMAND --help` works, and knows the common options."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "--json" in printed
    assert "--config" in printed


def test_help_imports_nothing_heavy() -> None:
    """`asyncsecrets --help` loads no HTTP client, no parser, no retry library."""
    heavy = ["aiohttp", "yaml", "tenacity", "rich", "pyrage"]
    code = (
        "import sys\nfrom asyncsecrets.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


COUNT = """
import json, sys
from asyncsecrets.__main__ import main
code = main()
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""

NEEDLESS = {
    "aiohttp", "tenacity", "rich", "typer", "click", "pytest", "trustme", "cryptography", "boto3", "botocore",
    "aioboto3", "aiobotocore", "pydantic", "importlib.metadata", "email", "getpass",
    "asyncsecrets.redaction.known", "asyncsecrets.redaction.records", "asyncsecrets.testing",
    "asyncsecrets.cli.check", "asyncsecrets.cli.init", "asyncsecrets.cli.run", "asyncsecrets.cli.documents",
    "asyncsecrets.providers.vault", "asyncsecrets.providers.aws", "asyncsecrets.providers.memory",
}  # fmt: skip
"""What reading one secret of the local store has no need of. All of it costs more than what is left."""


def modules_of(*argv: str) -> set[str]:
    """What a command that succeeds has imported."""
    environ = {**os.environ, "PYTHONASYNCIODEBUG": ""}
    done = subprocess.run([sys.executable, "-c", COUNT, *argv], env=environ, capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr)
    assert code == 0
    return set(modules)


def test_reading_one_secret_imports_what_it_needs(workdir: Path) -> None:
    """A command's start is imports: no other command, no HTTP client, no retry library, no masking."""
    (workdir / ".env").write_text(f"DB_PASSWORD={VALUE}\n")
    assert spawn("init").returncode == 0
    assert modules_of("get", "DB_PASSWORD") & NEEDLESS == set()


def test_reading_from_a_server_imports_what_it_needs(config: Path) -> None:
    """An HTTP client is needed; a retry library only where something has failed."""
    needless = {
        "tenacity",
        "rich",
        "asyncsecrets.redaction.known",
        "asyncsecrets.cli.run",
        "asyncsecrets.providers.aws",
    }
    assert modules_of("get", "DB_PASSWORD") & needless == set()


def test_typo_in_a_command(cli: Run) -> None:
    """The nearest command is named."""
    outcome = cli("chekc")
    assert outcome.code == 2
    assert "there is no command 'chekc', did you mean 'check'?" in outcome.err
    assert outcome.err.count("\n") == 1


def test_no_command(cli: Run) -> None:
    """Somebody who types the program's name alone is told how to begin."""
    outcome = cli()
    assert outcome.code == 2
    assert "begin with demo or init" in outcome.err


def test_typo_in_an_option(cli: Run) -> None:
    """The nearest option is named, and not what was typed."""
    outcome = cli("get", "X", f"--reveall={CANARY}")
    assert outcome.code == 2
    assert "did you mean --reveal?" in outcome.err
    assert CANARY not in outcome.err


@pytest.mark.parametrize(
    "argv",
    [
        ["set", "NAME", CANARY],
        ["set", "NAME", "--generate", CANARY],
        ["set", "NAME", f"--generate={CANARY}"],
        ["set", "NAME", f"--stdin-line={CANARY}"],
        ["set", f"--json={CANARY}", "NAME"],
        ["set", "NAME", "--value", CANARY],
        ["set", "NAME", f"--{CANARY}"],
        ["set", "NAME", f"-{CANARY}"],
        ["get", "NAME", CANARY, CANARY],
        [f"DB={CANARY}"],
        [f"{CANARY.upper()}_9"],
        ["resolve", "--format", CANARY, "x"],
        ["dev", "--port", CANARY],
        ["run", "--secret", f"KEY={CANARY}", "--", "true"],
        ["run", CANARY],
        ["delete", "NAME", "--yes", CANARY],
        ["--debug", "set", "NAME", CANARY],
    ],
    ids=lambda argv: " ".join(argv)[:40],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_what_was_typed_is_not_repeated(argv: list[str], as_json: bool, cli: Run) -> None:
    """A value that went into the command line by mistake does not go into the terminal's scrollback or a log, too."""
    outcome = cli(*([*argv[:1], "--json", *argv[1:]] if as_json else argv))
    assert outcome.code == 2
    assert CANARY not in (outcome.out + outcome.err).lower()
    if as_json:
        assert outcome.json["error"]["exit_code"] == 2


@pytest.mark.parametrize(
    "argv",
    [
        ["frobnicate", "--json"],
        ["--json"],
        ["--json", "get"],
        ["get", "X", "Y", "--json"],
        ["--json", "--config", "nowhere.yaml", "list"],
        ["get", "NAME", "--source", "nowhere", "--json"],
        ["check", "--json"],
        ["get", "NO_SUCH_VARIABLE", "--json"],
        ["resolve", "nowhere.yaml", "--json"],
        ["delete", "X", "--json"],
        ["set", "X", "--from-file", "nowhere", "--json"],
        ["run", "--json", "--", "true"],
        ["dev", "--json", "--token-file", "nowhere"],
        ["versions", "X", "--json"],
    ],
    ids=" ".join,
)
def test_errors_are_json_too(argv: list[str], cli: Run) -> None:
    """With --json stdout has one JSON document with the error's class and the exit code, and stderr is silent."""
    outcome = cli(*argv)
    error = outcome.json["error"]
    assert outcome.code == error["exit_code"] != 0
    assert error["class"].endswith("Error")
    assert error["message"]


def test_unreadable_configuration(workdir: Path, cli: Run) -> None:
    """A configuration that is a folder, or not YAML, is one line with the path; its text is not quoted."""
    assert "cannot be read" in cli("--config", str(workdir), "list").err
    path = workdir / "config.yaml"
    path.write_text(f"general_settings: {{key_management_system: [{CANARY}")
    outcome = cli("list")
    assert outcome.code == 2
    assert "config.yaml" in outcome.err
    assert CANARY not in outcome.err


def test_typo_in_a_setting(workdir: Path, cli: Run) -> None:
    """The nearest setting is named."""
    (workdir / "config.yaml").write_text(
        "general_settings:\n  key_management_system: hashicorp_vault\n  key_management_settings: {adr: http://x}\n"
    )
    outcome = cli("list")
    assert outcome.code == 2
    assert "did you mean 'addr'?" in outcome.err


def test_bugs_are_reported_without_their_text(
    cli: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A foreign exception may quote a value: its class is shown, and with --debug the places it passed, no more."""

    def fail(*_: object) -> int:
        try:
            {}[VALUE]
        except KeyError as error:
            raise ValueError(VALUE) from error

    monkeypatch.setattr("asyncsecrets.cli.list.run", fail)
    plain, debug, document = cli("list"), cli("list", "--debug"), cli("list", "--debug", "--json")
    assert (plain.code, plain.err) == (1, "asyncsecrets: internal error: ValueError (a bug; --debug says where)\n")
    assert "ValueError at " in debug.err
    assert "KeyError at " in debug.err
    assert [link.split()[0] for link in document.json["error"]["chain"]] == ["ValueError", "KeyError"]
    assert VALUE not in plain.err + debug.err + document.out


def test_interrupt(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130 and says nothing."""

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("asyncsecrets.cli.list.run", interrupt)
    outcome = cli("list")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")


def test_reader_that_goes_away(config: Path) -> None:
    """A closed pipe ends quietly, as it ends other tools."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "asyncsecrets", "list"]
    calm = {**os.environ, "PYTHONASYNCIODEBUG": ""}  # which tells of each callback that a busy machine makes slow
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=30, check=False, env=calm)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_installed_command_and_module_are_the_same() -> None:
    """`python -m asyncsecrets` is the command."""
    done = spawn("--version")
    assert done.returncode == 0
    assert done.stdout == f"asyncsecrets {__version__}\n".encode()


def test_common_options_stand_before_or_after(config: Path, cli: Run) -> None:
    """--json, --config and --source mean the same on both sides of the command."""
    before = cli("--json", "--config", str(config), "--source", "default", "get", "DB_PASSWORD")
    after = cli("get", "DB_PASSWORD", "--json", "--config", str(config), "--source", "default")
    assert before == after
    assert before.json["source"] == "default"


def test_names_that_look_like_options(config: Path, cli: Run) -> None:
    """What stands behind -- is a name, also one that starts with a dash, or the word run in front of it."""
    assert "'-x'" in cli("get", "--source", "default", "--", "-x").err
    assert cli("get", "run", "--", "x").code == 2


def test_printing_what_the_terminal_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    """Names from a server are shown without what could steer the terminal."""
    console = Console(as_json=False)
    console.result({}, console.table(("NAME",), [["a\x1b[31mb\nc\u202e"]]))
    assert capsys.readouterr().out == "NAME\na\\x1b[31mb\\nc\\u202e\n"


def test_every_command_is_documented() -> None:
    """In the table of the reference page, with its exit codes."""
    page = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text()
    assert [command for command in app.COMMANDS if not re.search(rf"^\| `{command}\b", page, re.MULTILINE)] == []
    assert [family for family in Family if not re.search(rf"^\| {family.value} \|", page, re.MULTILINE)] == []
