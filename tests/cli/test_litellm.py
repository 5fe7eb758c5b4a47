"""`litellm`: the file that LiteLLM loads is written, and what its configuration lacks is said."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    own.write_text(f"import os\n{LINE}\n")
    assert cli("litellm").code == 0


@pytest.mark.parametrize(
    "target", ["AsyncSecrets", "a.b.AsyncSecrets", "../x.AsyncSecrets", "secret_manager:AsyncSecrets"]
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
