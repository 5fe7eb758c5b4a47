"""`litellm`: the file that LiteLLM loads is written, and what its configuration lacks is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from asyncsecrets.config import load_config
from tests.cli.conftest import Run

LINE = "from asyncsecrets.integrations.litellm import AsyncSecrets"
WHOLE = """\
general_settings:
  master_key: os.environ/MASTER
  key_management_system: custom
  key_management_settings:
    custom_secret_manager: secret_manager.AsyncSecrets
asyncsecrets:
  sources:
    default:
      key_management_system: hashicorp_vault
"""


def test_a_file_that_has_all_gets_what_litellm_loads(workdir: Path, cli: Run) -> None:
    """One line beside it; running it again finds it done."""
    config = workdir / "config.yaml"
    config.write_text(WHOLE)
    outcome = cli("litellm")
    assert outcome.code == 0
    assert (workdir / "secret_manager.py").read_text() == f"{LINE}\n"
    assert "wrote   secret_manager.py" in outcome.out
    assert "change" not in outcome.out
    again = cli("litellm", "--json").json
    assert (again["file"], again["written"], again["add"]) == ("secret_manager.py", False, None)
    assert config.read_text() == WHOLE


@pytest.mark.parametrize("system", ["aws_secret_manager", None])
def test_what_the_configuration_lacks_is_what_it_needs(workdir: Path, cli: Run, system: str | None) -> None:
    """The manager that LiteLLM asked is then the one behind asyncsecrets; a file with the lines is whole."""
    manager = f"  key_management_system: {system}\n" if system else ""
    (workdir / "config.yaml").write_text(f"general_settings:\n  master_key: os.environ/MASTER\n{manager}")
    lines = cli("litellm", "--json").json["add"]
    assert "config.yaml, which is never rewritten" in cli("litellm").out
    other = workdir / "whole.yaml"
    other.write_text(lines)
    source = load_config(other, {"VAULT_ADDR": "http://127.0.0.1"}).sources["default"]
    assert source.system == (system or "hashicorp_vault")
    assert cli("litellm", "--config", "whole.yaml", "--json").json["add"] is None


def test_a_class_that_is_not_said_is_lacking(workdir: Path, cli: Run) -> None:
    """A key without a value names none."""
    (workdir / "config.yaml").write_text(WHOLE.replace(" secret_manager.AsyncSecrets", ""))
    assert "custom_secret_manager: secret_manager.AsyncSecrets" in cli("litellm", "--json").json["add"]


def test_the_file_and_the_class_are_called_as_the_configuration_says(workdir: Path, cli: Run) -> None:
    """It is beside the configuration, wherever that is."""
    (workdir / "proxy").mkdir()
    path = workdir / "proxy" / "litellm.yaml"
    path.write_text(WHOLE.replace("secret_manager.AsyncSecrets", "ours.Manager"))
    assert cli("litellm", "--config", "proxy/litellm.yaml").code == 0
    assert (workdir / "proxy" / "ours.py").read_text() == f"{LINE} as Manager\n"


def test_a_file_of_somebody_s_own_is_not_rewritten(workdir: Path, cli: Run) -> None:
    """It is told which line to put into it, and with the line in it, it is kept."""
    (workdir / "config.yaml").write_text(WHOLE)
    own = workdir / "secret_manager.py"
    own.write_text("import os\n")
    outcome = cli("litellm")
    assert outcome.code == 2
    assert LINE in outcome.err
    assert own.read_text() == "import os\n"
    own.write_text(f"# {LINE}\n")
    assert cli("litellm").code == 2
    own.write_text(f"import os\n{LINE}\n")
    assert cli("litellm").code == 0


@pytest.mark.parametrize(
    "target",
    ["AsyncSecrets", "a.b.AsyncSecrets", "../x.AsyncSecrets", "secret_manager:AsyncSecrets", "ours.class", "if.Ours"],
)
def test_a_class_that_litellm_could_not_load_is_refused(workdir: Path, cli: Run, target: str) -> None:
    """LiteLLM wants exactly one dot, and looks beside the configuration only."""
    (workdir / "config.yaml").write_text(WHOLE.replace("secret_manager.AsyncSecrets", target))
    outcome = cli("litellm")
    assert (outcome.code, list(workdir.glob("**/*.py"))) == (2, [])
    assert "FILE.Class" in outcome.err


def test_check_says_which_hosted_keys_a_file_of_litellm_should_have(workdir: Path, cli: Run) -> None:
    """Those of its references that the manager has; none where it says so already, or is no file of LiteLLM's."""
    config = workdir / "config.yaml"
    text = WHOLE.replace(
        "hashicorp_vault",
        "memory\n      key_management_settings: {secrets: {MASTER: canary-1, CHAT: canary-2, OTHER: canary-3}}",
    )
    config.write_text(f"{text}model_list: [{{litellm_params: {{api_key: os.environ/CHAT}}}}]\n")
    assert cli("check", "--json").json["hosted_keys"] == ["MASTER", "CHAT"]
    out = cli("check").out
    assert out.endswith("  hosted_keys:\n    - MASTER\n    - CHAT\n")
    config.write_text(text)
    assert "hosted_keys" not in cli("check").out
    hosted = "secret_manager.AsyncSecrets\n    hosted_keys: [MASTER]"
    config.write_text(f"{text.replace('secret_manager.AsyncSecrets', hosted)}litellm_settings: {{}}\n")
    assert "hosted_keys" not in cli("check", "--json").json


def test_hosted_keys_are_all_that_litellm_uses_or_none_are_told(workdir: Path, cli: Run) -> None:
    """Neither what a local store has beside them, as the keys that LiteLLM issues; nor some of them, where others were
    not asked for. A name is written as YAML reads it as a text."""
    config, names = workdir / "config.yaml", ["API_KEY", "off", "12", "a: b", "LONGNAME"]
    references = ", ".join(f'"os.environ/{name}"' for name in names)
    text = f"litellm_settings: {{x: [{references}]}}\ngeneral_settings:\n  key_management_system: local\n"
    (workdir / ".env").write_text("OTHER_PASSWORD=canary\n")
    assert cli("init").code == 0
    config.write_text(f"{text}  key_management_settings: {{access_mode: read_and_write}}\n")
    for name in (*names, "litellm/team-a"):
        assert cli("set", name, stdin=b"canary").code == 0
    assert sorted(cli("check", "--json").json["hosted_keys"]) == sorted(names)
    hosted = yaml.safe_load(cli("check").out.partition("hosted_keys:")[2])
    assert sorted(hosted) == sorted(names)
    assert "hosted_keys" not in cli("check", "API_KEY").out
