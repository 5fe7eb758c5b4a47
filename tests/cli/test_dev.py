"""`dev`: the fake in the foreground, and for as long as a command runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport

from asyncsecrets.cli.seeds import read_seed
from asyncsecrets.testing.vault_server import VaultServer
from asyncsecrets.yaml import load_strings
from tests.cli.conftest import VALUE, Run, on_terminal, spawn, write_config


def quiet() -> dict[str, str]:
    """This environment without asyncio's debug mode, which reports what is slow on a busy machine."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}


@contextlib.contextmanager
def dev(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `dev`; the process, and the variables it says to export."""
    command = [sys.executable, "-m", "asyncsecrets", "dev", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet()) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().strip() for _ in range(2)]
            yield process, dict(line.removeprefix("export ").split("=", 1) for line in lines)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_it_is_told_to_end(number: signal.Signals) -> None:
    """It says what it is and how to reach it, can be used at once, and ends with 0."""
    with dev() as (process, exports):
        env = {**exports, "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
        assert exports["VAULT_ADDR"].startswith("http://127.0.0.1:")
        assert spawn("list", env=env).returncode == 0
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.startswith("a fake for development")
    assert "Traceback" not in said


def test_tokens_are_random() -> None:
    """Every start has another one, and another is refused."""
    with dev() as (_, first), dev() as (_, second):
        assert first["VAULT_TOKEN"] != second["VAULT_TOKEN"]
        env = {**first, "VAULT_TOKEN": second["VAULT_TOKEN"], "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
        assert spawn("get", "X", env=env).returncode == 4


def test_filled_from_a_configuration(config: Path, vault: VaultServer) -> None:
    """--from config.yaml reads the names it uses, and serves them."""
    with dev("--from", str(config)) as (_, exports):
        env = {**exports, "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
        (config).unlink()
        assert spawn("get", "DB_PASSWORD", env=env).stdout == VALUE.encode()


def test_filled_from_a_store(workdir: Path, cli: Run) -> None:
    """--from secrets.yaml decrypts all of it."""
    pytest.importorskip("pyrage")
    (workdir / ".env").write_text("DB_PASSWORD=canary-local\n")
    assert cli("init").code == 0
    with dev("--from", "secrets.yaml") as (_, exports):
        (workdir / "config.yaml").unlink()
        (workdir / ".env").unlink()
        env = {**exports, "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
        assert spawn("get", "DB_PASSWORD", env=env).stdout == b"canary-local"


def test_missing_secret(workdir: Path, config: Path, vault: VaultServer, cli: Run) -> None:
    """--from is all or nothing."""
    vault.delete_secret("DB_PASSWORD")
    assert cli("dev", "--port", "0", "--from", str(config)).code == 3


def test_token_file(workdir: Path) -> None:
    """The token of a file is used, and not shown: the line to export reads the file."""
    path = workdir / "my token"
    path.write_text("canary-root-token\n")
    with dev("--token-file", str(path)) as (process, exports):
        assert exports["VAULT_TOKEN"] == f"\"$(cat '{path}')\""
        env = {"VAULT_ADDR": exports["VAULT_ADDR"], "VAULT_TOKEN": "canary-root-token"}
        env["ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM"] = "hashicorp_vault"
        assert spawn("list", env=env).returncode == 0
        assert b"canary" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()


@pytest.mark.parametrize("token", ["", "short", "canary with blanks", "canary\nsecond"])
def test_bad_token_files(token: str, workdir: Path, cli: Run) -> None:
    """A token that no header could carry is refused without being shown."""
    (workdir / "token").write_text(token)
    outcome = cli("dev", "--token-file", "token")
    assert outcome.code == 2
    assert "canary" not in outcome.err


def test_port_in_use(cli: Run) -> None:
    """It says so, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = cli("dev", "--port", str(taken.getsockname()[1]))
    assert outcome.code == 2
    assert "--port 0" in outcome.err


def test_json() -> None:
    """One document, once it is ready."""
    command = [sys.executable, "-m", "asyncsecrets", "dev", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=quiet()) as process:
        assert process.stdout is not None
        document = json.loads(process.stdout.readline())
        process.terminate()
        rest, said = process.communicate(timeout=20)
    assert (process.returncode, rest, said) == (0, b"", b"")
    assert document["fake"] is True
    assert document["pid"] == process.pid != os.getpid()
    assert document["url"].startswith("http://127.0.0.1:")


def test_hostnames(cli: Run) -> None:
    """--hostname allows a name beside those of loopback; what is none is refused."""
    with dev("--hostname", "vault.test") as (_, exports):
        for host, status in (("vault.test:8200", 200), ("other.test", 403)):
            connection = http.client.HTTPConnection(exports["VAULT_ADDR"].removeprefix("http://"))
            connection.request("GET", "/v1/sys/health", headers={"Host": host})
            assert connection.getresponse().status == status
            connection.close()
    outcome = cli("dev", "--hostname", "http://vault.test")
    assert outcome.code == 2
    assert "--hostname" in outcome.err


ASKING = {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
COUNTING = """
import os, signal, sys
if len(sys.argv) > 1:
    os.setpgid(0, 0)
interrupt = {signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, interrupt)
print("ready", flush=True)
count = 0
while signal.sigtimedwait(interrupt, 0.5 if count or len(sys.argv) > 1 else 20):
    count += 1
print(f"interrupted {count} times")
raise SystemExit(count)
"""
WAIT = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & wait $!; done"
ASK = f"{sys.executable} -m asyncsecrets get"


def test_a_command_finds_the_server_and_its_end_is_ours(workdir: Path) -> None:
    """It reads what was in the .env, by nothing but the two variables; what it prints and ends with is all there is."""
    (workdir / "dev.env").write_text("DB_PASSWORD=canary-local\n")
    done = spawn("dev", "--from", "dev.env", "--", "sh", "-c", f"{ASK} DB_PASSWORD; exit 7", env=ASKING)
    assert (done.returncode, done.stdout) == (7, b"canary-local")
    assert done.stderr.count(b"\n") == 1


def test_a_command_gets_no_way_to_another_vault(cli: Run, workdir: Path) -> None:
    """Variables that would lead past the server, or change what it is asked, are not handed on. Others are."""
    given = {"VAULT_ADDR": "https://vault.example.com", "VAULT_TOKEN": "canary-real", "VAULT_NAMESPACE": "team"}
    other = {"HCP_VAULT_ADDR": "https://vault.example.com", "HCP_VAULT_TOKEN": "canary-real", "BAO_ADDR": "https://b"}
    done = spawn("dev", "--", "env", env={**given, **other, "MY_OWN": "canary-own"})
    seen = dict(line.partition("=")[::2] for line in done.stdout.decode().splitlines())
    assert sorted(name for name in seen if "VAULT" in name or "BAO" in name) == ["VAULT_ADDR", "VAULT_TOKEN"]
    assert seen["VAULT_ADDR"].startswith("http://127.0.0.1:")
    assert "canary-real" not in done.stdout.decode()
    assert seen["MY_OWN"] == "canary-own"


def test_the_server_ends_with_the_command() -> None:
    """Nothing is left that listens."""
    done = spawn("dev", "--", "sh", "-c", "echo $VAULT_ADDR")
    host, _, port = done.stdout.decode().strip().removeprefix("http://").partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


@pytest.mark.parametrize(("name", "code"), [("TERM", 3), ("USR1", 3), ("HUP", 137)])
def test_signals_are_handed_on(name: str, code: int) -> None:
    """The command decides what they mean. One that ends it ends us with the code that a shell gives it."""
    script = f"trap 'exit 3' TERM USR1; trap 'kill -9 $$' HUP; echo ready; {WAIT}"
    command = [sys.executable, "-m", "asyncsecrets", "dev", "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.wait(timeout=20) == code


def test_ctrl_c_reaches_the_command_once() -> None:
    """The terminal sends it to both of us: handed on as well, the command would take it for a second one."""
    code, seen = on_terminal(["dev", "--", sys.executable, "-c", COUNTING], b"\x03", after=b"ready")
    assert b"interrupted 1 times" in seen
    assert code == 1


def test_what_a_terminal_sends_is_not_handed_on() -> None:
    """Seen at a command that has left the foreground: the terminal sends nothing to it, and neither do we."""
    command = ["dev", "--", sys.executable, "-c", COUNTING, "leave"]
    code, seen = on_terminal(command, b"\x03", after=b"ready")
    assert b"interrupted 0 times" in seen
    assert code == 0


def test_ctrl_c_from_elsewhere_is_handed_on() -> None:
    """As `kill -INT` of a supervisor: no terminal has sent it to the command."""
    command = [sys.executable, "-m", "asyncsecrets", "dev", "--", "sh", "-c", f"trap 'exit 5' INT; echo ready; {WAIT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=quiet(), start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 5


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--"], 2, "there is no command behind --"),
        (["--", "asyncsecrets-no-such"], 127, "no such command"),
        (["--", "."], 126, "may it be executed"),
        (["true"], 2, "write -- before the command: asyncsecrets dev -- COMMAND"),
        (["--from", "nothing.env", "--", "true"], 2, "nothing.env: cannot be read"),
    ],
)
def test_commands_that_cannot_be_started(words: list[str], code: int, said: str, cli: Run) -> None:
    """They end as `run` does."""
    outcome = cli("dev", *words)
    assert outcome.code == code
    assert said in outcome.err


SEEDS = {
    ".env": "A=canary-1\nexport B='canary 2'\n",
    "plain": 'A=canary-1\nB="canary 2"\n',
    "seed.yaml": "A: canary-1\nB: canary 2\n",
    "seed.json": '{"A": "canary-1", "B": {"key": "canary 2"}}',
}


@pytest.mark.parametrize("name", SEEDS)
def test_what_a_seed_holds(name: str, workdir: Path) -> None:
    """Names and values, or members; a value is the member that is read where none is named."""
    (workdir / name).write_text(SEEDS[name])
    assert read_seed(workdir / name) == {"A": {"key": "canary-1"}, "B": {"key": "canary 2"}}


def test_members_of_a_seed(workdir: Path) -> None:
    """They are fields of the secret, as at a Vault of one's own. Numbers are texts, as they are written."""
    (workdir / "seed.yaml").write_text("team/db: {user: app, password: canary-db}\nPIN: 0123\n")
    asking = f"{ASK} team/db --field password; {ASK} PIN"
    done = spawn("dev", "--from", "seed.yaml", "--", "sh", "-c", asking, env=ASKING)
    assert done.stdout == b"canary-db0123"


def test_a_configuration_that_uses_members(workdir: Path, vault: VaultServer, config: Path) -> None:
    """A secret of which it uses a member is taken as the object that it is."""
    vault.write_secret("team/db", {"user": "app", "password": "canary-db"})
    document = json.loads(config.read_text())
    document["url"] = "postgres://${secret:///team/db?field=user}:${secret:///team/db?field=password}@db"
    write_config(workdir, document)
    assert read_seed(config) == {"DB_PASSWORD": {"key": VALUE}, "team/db": {"user": "app", "password": "canary-db"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A: [canary]\n", "'A' is neither a text nor members that are texts"),
        ("A: {b: {c: canary}}\n", "'A' is neither a text nor members that are texts"),
        ("A: {}\n", "'A' is neither a text nor members that are texts"),
        ("A: canary\nA: canary-2\n", "line 2"),
        ("general_setings: {a: canary}\n", "seed.yaml: the document has 'general_setings'; did you mean"),
        ("- canary\n", "must be a mapping"),
        ("team/: canary\n", "Vault has no secret of the name 'team/'"),
    ],
)
def test_seeds_that_are_none(text: str, said: str, workdir: Path, cli: Run) -> None:
    """What is wrong is said with the name, and never a value; nothing is started."""
    (workdir / "seed.yaml").write_text(text)
    outcome = cli("dev", "--from", "seed.yaml", "--", "touch", "started")
    assert outcome.code == 2
    assert said in outcome.err
    assert "canary" not in outcome.err
    assert not (workdir / "started").exists()


def test_the_configuration_that_is_found(workdir: Path, cli: Run) -> None:
    """--from config is what every other command would take, the names of its local store included."""
    pytest.importorskip("pyrage")
    (workdir / ".env").write_text("DB_PASSWORD=canary-local\n")
    assert cli("init").code == 0
    (workdir / ".env").unlink()
    done = spawn("dev", "--from", "config", "--", "sh", "-c", f"rm config.yaml; {ASK} DB_PASSWORD", env=ASKING)
    assert done.stdout == b"canary-local"
    assert "no configuration found" in cli("dev", "--from", "config", "--", "true").err


def test_it_answers_as_google_secret_manager(tmp_path: Path) -> None:
    """With the secrets of a file; the configuration that leads to it is printed; SIGINT ends it with 0."""
    seed = tmp_path / "seed.yaml"
    seed.write_text(f"API_KEY: {VALUE}\nDB: {{user: app, password: {VALUE}}}\n")
    command = [sys.executable, "-m", "asyncsecrets", "dev", "--system", "google_secret_manager", "--from", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet()) as process:
        assert process.stdout is not None
        try:
            printed = load_strings("".join(process.stdout.readline() for _ in range(6)), origin="stdout")
            assert isinstance(printed, dict)
            settings = printed["general_settings"]["key_management_settings"]
            with grpc.insecure_channel(settings["google_endpoint"].removeprefix("http://")) as channel:
                client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
                parent = f"projects/{settings['google_secret_manager_project_id']}"
                for name, value in {"API_KEY": VALUE, "DB": f'{{"user": "app", "password": "{VALUE}"}}'}.items():
                    answer = client.access_secret_version(name=f"{parent}/secrets/{name}/versions/latest")
                    assert answer.payload.data.decode() == value
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert said.startswith("a fake for development")
    assert "2 secrets in projects/example-project" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--hostname", "vault.test"], "takes no command, --token-file or --hostname"),
        (["--", "true"], "takes no command, --token-file or --hostname"),
        (["--from", "seed.yaml"], "secret_id must match"),
        (["--port", "{taken}"], "port {taken}: "),
    ],
)
def test_what_it_cannot_as_google(cli: Run, workdir: Path, options: list[str], problem: str) -> None:
    """It is said before anything is served."""
    (workdir / "seed.yaml").write_text(f"a/b: {VALUE}\n")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        ran = cli("dev", "--system", "google_secret_manager", *(text.format(taken=port) for text in options))
    assert ran.code == 2
    assert problem.format(taken=port) in ran.err
    assert VALUE not in ran.out + ran.err
