"""rotate and migrate from the command line, at every manager."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from asyncsecrets.providers.local import init_store
from tests.cli.conftest import Run, write_config
from tests.managers import Place, place  # noqa: F401  # a fixture
from tests.providers.local_support import PUBLIC, SECRET


def test_rotated_and_moved(place: Place, cli: Run, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A password that its consumer has first; then all of it in a local store, and nothing printed."""
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)
    init_store(workdir / "other.yaml", PUBLIC)
    local = {"local_file": str(workdir / "other.yaml"), "local_key": SECRET, "access_mode": "read_and_write"}
    store = {"key_management_system": "local", "key_management_settings": local}
    write_config(workdir, {"general_settings": place.section(), "asyncsecrets": {"sources": {"store": store}}})
    script = "import pathlib, sys; pathlib.Path('consumer').write_text(sys.stdin.read())"
    command = shlex.join([sys.executable, "-c", script])
    assert cli("set", "cli/DB", stdin=b"canary-old").code == 0
    done = cli("rotate", "cli/DB", "--generate", "password", "--exec", command)
    assert (done.code, done.out.split()[:3]) == (0, ["rotated", "cli/DB", "default"])
    value = (workdir / "consumer").read_text()
    assert len(value) == 32
    planned = cli("migrate", "default", "store", "cli/DB", "cli/nothing")
    assert (planned.code, planned.out.splitlines()[-1]) == (0, "default -> store: 1 create, 1 gone")
    moved = cli("migrate", "default", "store", "cli/DB", "--apply")
    assert (moved.code, moved.out) == (0, "default -> store: 1 created\n")
    assert cli("get", "cli/DB", "--source", "store").out.strip() == value
    assert cli("migrate", "store", "default", "cli/DB").out == "store -> default: 1 equal\n"
    assert value not in done.out + done.err + planned.out + moved.out + moved.err
