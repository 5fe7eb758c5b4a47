"""`run -- COMMAND`: secrets in the command's environment and nowhere else, or no command at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets.cli import main
from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Outcome, Run, spawn, vault_settings, write_config

SHOW = "import os, json; print(json.dumps(dict(os.environ)))"


def child_environ(*options: str, env: dict[str, str] | None = None) -> dict[str, str]:
    """What a command sees in its environment."""
    done = spawn("run", *options, "--", sys.executable, "-c", SHOW, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


Refused = Callable[..., Outcome]


@pytest.fixture
def refused(cli: Run, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Run a command that must not be started."""
    started: list[object] = []
    monkeypatch.setattr(os, "execvpe", lambda *given: started.append(given))

    def run(*options: str) -> Outcome:
        outcome = cli("run", *options, "--", "true")
        assert started == []
        assert outcome.code != 0
        assert outcome.out == ""
        assert "canary" not in outcome.err
        return outcome

    return run


def test_names_of_the_configuration(workdir: Path, vault: VaultServer) -> None:
    """References and hosted_keys become variables of their names; the rest of the environment is passed on."""
    vault.write_secret("HOSTED", {"key": "canary-hosted\n"})
    settings = vault_settings(vault, hosted_keys=["HOSTED", "DB_PASSWORD"])
    write_config(workdir, {"general_settings": {"x": "os.environ/DB_PASSWORD", **settings}})
    environ = child_environ(env={"DB_PASSWORD": "canary-old", "KEPT": "1"})
    assert (environ["DB_PASSWORD"], environ["HOSTED"], environ["KEPT"]) == (VALUE, "canary-hosted\n", "1")


def test_only(workdir: Path, vault: VaultServer, refused: Refused) -> None:
    """--only chooses among them, and a typo is an error."""
    write_config(workdir, {"general_settings": vault_settings(vault, hosted_keys=["DB_PASSWORD", "MISSING"])})
    assert child_environ("--only", "DB_PASSWORD")["DB_PASSWORD"] == VALUE
    assert "did you mean 'DB_PASSWORD'?" in refused("--only", "DB_PASWORD").err


def test_secrets_by_hand(config: Path, vault: VaultServer) -> None:
    """--secret VARIABLE, and VARIABLE=REFERENCE with a field."""
    vault.write_secret("team/db", {"key": "canary-k", "url": "canary-url"})
    environ = child_environ(
        "--secret", "DB_PASSWORD", "--secret", "URL=secret:///team/db?field=url", "--secret", "P=os.environ/DB_PASSWORD"
    )
    assert (environ["DB_PASSWORD"], environ["URL"], environ["P"]) == (VALUE, "canary-url", VALUE)


def test_env_file(workdir: Path, config: Path) -> None:
    """--env-from: references in a .env file are replaced, the rest is set as it is."""
    (workdir / "app.env").write_text("PASSWORD=os.environ/DB_PASSWORD\nPORT=8080\n")
    environ = child_environ("--env-from", "app.env")
    assert (environ["PASSWORD"], environ["PORT"]) == (VALUE, "8080")
    assert "DB_PASSWORD" not in environ


def test_a_value_stays_as_it_is(config: Path, vault: VaultServer) -> None:
    """Line breaks, quotes and non-ASCII text come through."""
    value = "canary $HOME `id` \"'\n\tü\U0001f511 "
    vault.write_secret("DB_PASSWORD", {"key": value})
    assert child_environ()["DB_PASSWORD"] == value
    assert child_environ(env={"LC_ALL": "C", "PYTHONUTF8": "1"})["DB_PASSWORD"] == value


def test_credentials_are_not_handed_on(workdir: Path, vault: VaultServer) -> None:
    """Neither the variables that the configured managers read nor one of another name that the file takes a token from;
    a note says so. Other managers' stay, and so do addresses."""
    settings = vault_settings(vault)
    settings["key_management_settings"]["token"] = "os.environ/MY_TOKEN"
    write_config(workdir, {"general_settings": {"x": "os.environ/DB_PASSWORD", **settings}})
    ours = {"VAULT_TOKEN": "canary-stale", "MY_TOKEN": vault.root_token, "ASYNCSECRETS_KEY": "canary-key"}
    kept = {"VAULT_ADDR": vault.url, "AWS_SECRET_ACCESS_KEY": "canary-aws"}
    done = spawn("run", "--config", "config.yaml", "--", sys.executable, "-c", SHOW, env={**ours, **kept})
    environ = json.loads(done.stdout)
    assert environ["DB_PASSWORD"] == VALUE
    assert {name: environ[name] for name in (*ours, *kept) if name in environ} == kept
    assert b"note: not handed on: " in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"canary" not in done.stderr


def test_credentials_that_are_asked_for(config: Path, vault: VaultServer) -> None:
    """--keep-credentials hands on all of them; one that is named as a secret is set."""
    env = {"VAULT_TOKEN": "canary-token", "ASYNCSECRETS_KEY": "canary-key"}
    environ = child_environ("--keep-credentials", env=env)
    assert {name: environ[name] for name in env} == env
    named = child_environ("--secret", "VAULT_TOKEN=secret://environment/VAULT_TOKEN", env=env)
    assert (named["VAULT_TOKEN"], "ASYNCSECRETS_KEY" in named) == ("canary-token", False)


def test_clean(config: Path, vault: VaultServer, workdir: Path) -> None:
    """--clean keeps from the command what leads to the manager as well."""
    settings = vault_settings(vault)
    del settings["key_management_settings"]["token"]
    write_config(workdir, {"general_settings": {"x": "os.environ/DB_PASSWORD", **settings}})
    environ = child_environ("--clean", env={"HCP_VAULT_TOKEN": vault.root_token, "HCP_VAULT_ADDR": vault.url})
    assert {"HCP_VAULT_TOKEN", "HCP_VAULT_ADDR"}.isdisjoint(environ)
    assert environ["DB_PASSWORD"] == VALUE


def test_values_are_nowhere_else(config: Path, vault: VaultServer) -> None:
    """Not in the arguments of any process, not in the environment of the one that started it, not in a file."""
    script = (
        "import os, pathlib; me = pathlib.Path('/proc/self'); up = pathlib.Path('/proc') / str(os.getppid());"
        "seen = [(me / 'cmdline').read_bytes(), (up / 'cmdline').read_bytes(), (up / 'environ').read_bytes()];"
        "seen += [p.read_bytes() for p in pathlib.Path('.').rglob('*') if p.is_file()];"
        "print(any(b'can' b'ary' in one for one in seen), 'can' 'ary' in os.environ['DB_PASSWORD'])"
    )
    done = spawn("run", "--", sys.executable, "-c", script)
    assert done.stdout == b"False True\n"
    assert "canary" not in json.dumps(dict(os.environ))


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"a": "os.environ/DB_PASSWORD", "b": "os.environ/MISSING"}, 3),
        ({"a": "os.environ/LD_PRELOAD", "b": "os.environ/DB_PASSWORD"}, 2),
        ({"a": "os.environ/ld_preload", "b": "os.environ/DB_PASSWORD"}, 2),
        ({"environment_variables": {"GIT_CONFIG_PARAMETERS": "os.environ/DB_PASSWORD"}}, 2),
        ({"a": "os.environ/with-dash"}, 2),
        ({"a": "secret://Odd!"}, 2),
        ({}, 2),
    ],
    ids=["missing", "denied name", "in lower case", "given name", "impossible name", "not a reference", "nothing"],
)
def test_nothing_is_started(
    document: dict[str, Any], code: int, workdir: Path, vault: VaultServer, refused: Refused
) -> None:
    """One secret that is missing or cannot be a variable, and the command is not started."""
    write_config(workdir, {**document, "general_settings": vault_settings(vault)})
    assert refused().code == code


def test_nothing_is_started_when_the_manager_is_down(
    config: Path, vault: VaultServer, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down is down, also where the environment has the name."""
    vault.seal()
    monkeypatch.setenv("DB_PASSWORD", "canary-environ")
    assert refused().code == 5


def test_nothing_is_started_for_real(workdir: Path, config: Path) -> None:
    """The same, seen from outside: what the command would have done is not done."""
    done = spawn("run", "--secret", "DB_PASSWORD", "--secret", "MISSING", "--", "touch", "started")
    assert (done.returncode, done.stdout) == (3, b"")
    assert not (workdir / "started").exists()


def test_nothing_is_started_without_a_configuration(refused: Refused) -> None:
    """There are no names to go by."""
    assert refused().code == 2


@pytest.mark.parametrize("value", ["canary\0", "canary" * 30_000], ids=["NUL", "too long"])
@pytest.mark.parametrize("options", [["--only", "DB_PASSWORD"], ["--secret", "DB_PASSWORD"], ["--env-from", "app.env"]])
def test_nothing_is_started_for_values_that_do_not_fit(
    value: str, options: list[str], workdir: Path, config: Path, vault: VaultServer, refused: Refused
) -> None:
    """A value that no variable can hold is found before the command is, where it was asked for by name."""
    vault.write_secret("DB_PASSWORD", {"key": value})
    (workdir / "app.env").write_text("DB_PASSWORD=os.environ/DB_PASSWORD\n")
    assert refused(*options).code == 8


def test_values_that_do_not_fit_do_not_stop_the_others(workdir: Path, vault: VaultServer) -> None:
    """One that only the configuration names is left out, with a note; an older value of it is not passed on instead."""
    vault.write_secret("BINARY", {"key": "canary\0"})
    write_config(workdir, {"general_settings": vault_settings(vault, hosted_keys=["DB_PASSWORD", "BINARY"])})
    done = spawn("run", "--", sys.executable, "-c", SHOW, env={"BINARY": "canary-old"})
    environ = json.loads(done.stdout)
    assert (environ["DB_PASSWORD"], environ.get("BINARY")) == (VALUE, None)
    assert done.stderr.startswith(b"asyncsecrets: note: the value of BINARY has a NUL byte, ")
    assert done.stderr.endswith(b", so it is not set\n")


def test_bytes_that_are_no_text_are_set(workdir: Path) -> None:
    """Any bytes but NUL are fine in an environment."""
    assert spawn("init").returncode == 0
    assert spawn("set", "BINARY", stdin=b"canary-\xff\xfe").returncode == 0
    done = spawn("run", "--only", "BINARY", "--", "sh", "-c", 'printf %s "$BINARY"')
    assert (done.returncode, done.stdout) == (0, b"canary-\xff\xfe")


def test_a_long_value_that_fits(config: Path, vault: VaultServer) -> None:
    """Just below the limit of the system it works."""
    value = "canary" + "x" * (128 * 1024 - len("canary" + "DB_PASSWORD") - 2)
    vault.write_secret("DB_PASSWORD", {"key": value})
    assert child_environ()["DB_PASSWORD"] == value


@pytest.mark.parametrize("secret", ["LD_PRELOAD", "PATH=os.environ/DB_PASSWORD", "A-B", "=os.environ/X", "X="])
def test_names_by_hand_are_checked(secret: str, config: Path, refused: Refused) -> None:
    """The same rules hold for --secret."""
    assert refused("--secret", secret).code == 2


def test_env_file_is_checked(workdir: Path, config: Path, refused: Refused) -> None:
    """And for --env-from, also for what is no reference."""
    (workdir / "app.env").write_text("LD_PRELOAD=/tmp/canary.so\n")
    assert refused("--env-from", "app.env").code == 2


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_codes_pass_through(code: int, config: Path) -> None:
    """The command's exit code is ours: this process is the command."""
    assert spawn("run", "--", "sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ])
def test_signals_end_the_command(number: signal.Signals, config: Path) -> None:
    """Also those that Python ignores for itself."""
    assert spawn("run", "--", "sh", "-c", f"kill -{int(number)} $$; exit 3").returncode == -number


def test_signals_reach_the_command(config: Path) -> None:
    """A signal to the process that was started is a signal to the command."""
    script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    command = [sys.executable, "-m", "asyncsecrets", "run", "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.stdout.read() == b"caught\n"
    assert process.returncode == 9


def test_stdin_and_arguments_are_the_commands(config: Path) -> None:
    """What stands behind -- is passed on as it is, a second -- and options of ours included."""
    done = spawn("run", "--", "sh", "-c", 'cat; printf "%s\\n" "$@"', "sh", "--json", "--", "--help", stdin=b"in\n")
    assert done.stdout == b"in\n--json\n--\n--help\n"


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/", 126), ("./config.yaml", 126)])
def test_commands_that_cannot_be_executed(command: str, code: int, config: Path) -> None:
    """As shells say it, in one line."""
    done = spawn("run", "--", command)
    assert done.returncode == code
    assert done.stderr.count(b"\n") == 1
    assert b"canary" not in done.stderr
    document = json.loads(spawn("run", "--json", "--", command).stdout)
    assert document["error"]["exit_code"] == code


@pytest.mark.parametrize("argv", [["run"], ["run", "--"], ["run", "ls"], ["run", "--only", "X", "ls"]])
def test_the_command_stands_behind_dashes(argv: list[str], cli: Run) -> None:
    """Otherwise an option of the command would be one of ours."""
    outcome = cli(*argv)
    assert outcome.code == 2
    assert "asyncsecrets run" in outcome.err


@pytest.mark.parametrize("options", [["--secret", "LD_PRELOAD_X=os.environ/DB_PASSWORD"], ["--env-from", "app.env"]])
def test_an_explicit_word(options: list[str], workdir: Path, config: Path, refused: Refused) -> None:
    """--allow sets what decides which code runs; without it the error says so, for each name of its own."""
    (workdir / "app.env").write_text("LD_PRELOAD_X=os.environ/DB_PASSWORD\n")
    assert "--allow LD_PRELOAD_X sets it all the same" in refused(*options).err
    assert refused(*options, "--allow", "ld_preload_x").code == 2
    assert child_environ(*options, "--allow", "LD_PRELOAD_X")["LD_PRELOAD_X"] == VALUE


def test_an_explicit_word_for_a_name_of_the_configuration(workdir: Path, vault: VaultServer, refused: Refused) -> None:
    """The word is the command line's: no file can say it. It names nothing that would not be set anyway."""
    vault.write_secret("npm_config_x", {"key": VALUE})
    write_config(workdir, {"general_settings": vault_settings(vault, hosted_keys=["DB_PASSWORD", "npm_config_x"])})
    assert "--allow npm_config_x" in refused().err
    environ = child_environ("--allow", "npm_config_x")
    assert (environ["npm_config_x"], environ["DB_PASSWORD"]) == (VALUE, VALUE)
    assert "did you mean 'DB_PASSWORD'?" in refused("--only", "DB_PASSWORD", "--allow", "DB_PASWORD").err
    outcome = refused("--only", "DB_PASSWORD", "--allow", "npm_config_x=canary")
    assert "no variable of this name would be set" in outcome.err


def test_names_that_no_variable_can_have_do_not_stop_the_others(workdir: Path, vault: VaultServer) -> None:
    """A hosted name with a slash is left out, and told of with the way to have it; asked for by name it is an error."""
    vault.write_secret("team/db", {"key": "canary-team"})
    write_config(workdir, {"general_settings": vault_settings(vault, hosted_keys=["DB_PASSWORD", "team/db"])})
    done = spawn("run", "--", "sh", "-c", 'test "$DB_PASSWORD" = ' + VALUE)
    assert done.returncode == 0
    assert b"no variable is named for os.environ/team/db, so none is set; --secret VARIABLE=" in done.stderr
    assert spawn("run", "--only", "team/db", "--", "true").returncode == 2


def test_variables_that_the_configuration_gives(workdir: Path, vault: VaultServer) -> None:
    """The keys of environment_variables are variables, of any reference; they go before a name of the same spelling."""
    vault.write_secret("db", {"url": "canary-url"})
    given = {
        "PASSWORD": "os.environ/DB_PASSWORD",
        "DATABASE_URL": "secret:///db?field=url",
        "OTHER": "os.environ/DB_PASSWORD",
        "with-dash": "secret:///db?field=other",
        "PLAIN": "no reference",
    }
    write_config(
        workdir,
        {"environment_variables": given, "x": "os.environ/OTHER", "general_settings": vault_settings(vault)},
    )
    done = spawn("run", "--", sys.executable, "-c", SHOW)
    environ = json.loads(done.stdout)
    assert (environ["PASSWORD"], environ["DATABASE_URL"], environ["OTHER"]) == (VALUE, "canary-url", VALUE)
    assert {"DB_PASSWORD", "PLAIN", "with-dash"}.isdisjoint(environ)
    assert b"no variable is named for secret:///db?field=other," in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert "PASSWORD" not in child_environ("--only", "DATABASE_URL")


def test_references_without_a_name_are_told_of(workdir: Path, vault: VaultServer) -> None:
    """A reference that names a source has no variable; that is said, with the way to give it one."""
    document = {
        "a": "os.environ/DB_PASSWORD",
        "b": "secret://default/DB_PASSWORD",
        "general_settings": vault_settings(vault),
    }
    write_config(workdir, document)
    done = spawn("run", "--", "true")
    assert done.returncode == 0
    assert b"--secret VARIABLE=secret://default/DB_PASSWORD" in done.stderr


def test_the_process_is_left_as_it_was(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """exec gets the values; this process's own environment does not, not even for a moment."""
    given: list[Any] = []
    before = dict(os.environ)

    def execute(command: str, argv: list[str], environ: dict[str, Any]) -> None:
        given.append((argv, environ["DB_PASSWORD"], dict(os.environ) == before))
        raise FileNotFoundError(2, "canary")

    monkeypatch.setattr(os, "execvpe", execute)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        assert main(["run", "--", "cmd", "-x"]) == 127
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert given == [(["cmd", "-x"], VALUE.encode(), True)]
    assert "canary" not in capsys.readouterr().err


COMPOSED = "postgres://app:${url:secret:///db?field=password}@${os.environ/HOST_NAME}/app"


@pytest.mark.parametrize("way", ["file", "option", "env file"])
def test_a_variable_of_several_references(way: str, workdir: Path, vault: VaultServer) -> None:
    """A text with references in it, wherever a variable is named; its references are no variables of their own."""
    vault.write_secret("db", {"password": "canary@1"})
    vault.write_secret("HOST_NAME", {"key": "db.example.com"})
    given = {"environment_variables": {"DATABASE_URL": COMPOSED}} if way == "file" else {}
    write_config(workdir, {**given, "general_settings": vault_settings(vault)})
    (workdir / "app.env").write_text(f"DATABASE_URL='{COMPOSED}'\n")
    options = {"file": [], "option": ["--secret", f"DATABASE_URL={COMPOSED}"], "env file": ["--env-from", "app.env"]}
    done = spawn("run", *options[way], "--", sys.executable, "-c", SHOW)
    environ = json.loads(done.stdout)
    assert (environ["DATABASE_URL"], "HOST_NAME" in environ) == ("postgres://app:canary%401@db.example.com/app", False)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("text", "code"), [("x${secret:///MISSING}", 3), ("x${secret:/db}", 2), ("x${secret:///db", 2), ("canary-value", 2)]
)
def test_nothing_is_started_for_a_text_that_cannot_be_filled(
    text: str, code: int, config: Path, refused: Refused
) -> None:
    """What cannot be read or is not well-formed is never handed on as it stands."""
    assert refused("--secret", f"URL={text}").code == code


@pytest.mark.shows_values("the environment of a child, `resolve --reveal`, `export`")
def test_a_variable_of_several_secrets_can_be_referred_to(cli: Run, workdir: Path, vault: VaultServer) -> None:
    """LiteLLM's settings refer to the variable; whoever reads the file has the whole text, and check each secret."""
    vault.write_secret("db", {"key": '{"password": "canary@1"}'})
    url = "pg://app:${url:secret:///db?field=password}@h"
    given = {"DATABASE_URL": url, "ALSO": "os.environ/DATABASE_URL"}
    general = {"database_url": "os.environ/DATABASE_URL", **vault_settings(vault)}
    write_config(workdir, {"environment_variables": given, "general_settings": general})
    (workdir / "app.yaml").write_text("a: os.environ/ALSO\n")
    (workdir / "app.env").write_text("URL=os.environ/DATABASE_URL\n")
    expected = "pg://app:canary%401@h"
    assert cli("resolve", "app.yaml", "--reveal").out == f'a: "{expected}"\n'

    def chosen(*options: str) -> Any:
        return json.loads(cli("export", "--format", "json", *options).out)

    assert chosen() == {"DATABASE_URL": expected, "ALSO": expected}
    assert chosen("--secret", "DATABASE_URL") == {"DATABASE_URL": expected}
    assert chosen("--env-from", "app.env") == {"URL": expected}
    report = cli("check", "--json")
    assert (report.code, [one["name"] for one in report.json["secrets"]]) == (0, ["db"])


def test_a_text_with_itself_in_it_is_refused(cli: Run, workdir: Path) -> None:
    """As one within another is: which of them would be filled in first?"""
    write_config(workdir, {"environment_variables": {"PATHS": "/opt:${os.environ/PATHS}"}})
    outcome = cli("run", "--", "true")
    assert (outcome.code, "within another one, write it out" in outcome.err) == (2, True)
    assert cli("check").code == 2
