"""The documentation as a whole: nothing in it is left unexecuted unsaid, and it covers what it says it covers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from asyncsecrets import errors
from asyncsecrets.cli.app import COMMANDS
from asyncsecrets.settings import COMMON, SYSTEMS
from tests.canaries import CANARY
from tests.test_layering import FLOORS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
EXECUTED = {"python", "yaml", "console"}
SHOWN = {"", "text", "hcl", "ini", "json"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_code_block_is_of_a_kind_that_is_executed_or_said_not_to_be(page):
    """A block in an unknown language would be skipped in silence."""
    languages = re.findall(r"^```(\w*)[^\n]*\n.*?^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert set(languages) <= EXECUTED | SHOWN


def test_code_is_not_clipped():
    """A line of up to this length is seen whole in a window of 1,280 px; a longer one has to be scrolled."""
    blocks = [
        (page, block)
        for page in PAGES
        for block in re.findall(r"^```.*?\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    ]
    assert len(blocks) > 100
    assert [(page.name, line) for page, block in blocks for line in block.splitlines() if len(line) > 112] == []


def test_values_look_like_those_of_a_user():
    """The tests' own word for a value says nothing to a reader. Those of the pages are watched all the same."""
    assert [str(page.relative_to(ROOT)) for page in PAGES if CANARY in page.read_text()] == []


def test_every_setting_is_in_the_configuration_page():
    """A setting that is not documented does not exist for users."""
    page = (ROOT / "docs/reference/configuration.md").read_text()
    settings = {*COMMON, *(name for system in SYSTEMS.values() for name in system)}
    assert sorted(name for name in settings if f"`{name}`" not in page) == []


def test_every_error_is_in_the_errors_page():
    """The table of remedies has a row for each class that is raised."""
    page = (ROOT / "docs/reference/errors.md").read_text()
    concrete = set(errors.__all__) - {"AsyncSecretsError", "ProviderError", "TransientError", "NotFoundReason"}
    assert sorted(name for name in concrete if name not in page) == []


def test_every_test_that_the_threat_model_names_is_there():
    """A claim whose test was renamed or deleted is a claim without one; and no attacker is left without a word."""
    page = (ROOT / "docs/explanation/threat-model.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).exists()
        or not re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(), flags=re.MULTILINE)
    ]
    assert missing == []
    assert len(named) == page.count("::") > 30
    for section in page.split("\n## ")[1:]:
        assert "**Not held" in section
        assert "::test_" in section


def test_every_room_is_on_the_plan_of_the_house():
    """Each module of the package is on the architecture page, on its floor; and none that is not there."""
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    plan, *packages = re.split(r"^### (?=client|providers|cli$)", page.partition("## Rooms")[2], flags=re.MULTILINE)
    floor, found = "", {}
    for number, rooms in re.findall(r"^\| (?:(\d) )?\| ([^|]+) \|", plan, flags=re.MULTILINE):
        floor = number or floor
        found.update({room: int(floor) for room in re.findall(r"`(\w+)`", rooms)})
    assert found == {room: FLOORS[f"asyncsecrets.{room}"] for room in _rooms("") - {"__main__"}}
    for section in packages:
        package, text = section.partition("\n## ")[0].split("\n", 1)
        named = {word for row in re.findall(r"^\|[^|]+\|(.+)\|$", text, flags=re.MULTILINE) for word in _words(row)}
        commands = set(COMMANDS) if package == "cli" else set()
        assert _rooms(package) <= named | commands
        assert named <= _rooms(package) | commands
    assert [section.split("\n")[0] for section in packages] == ["client", "providers", "cli"]


def _rooms(package):
    folder = ROOT / "asyncsecrets" / package
    return {path.stem for path in folder.glob("[!_]*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}


def _words(row):
    return re.findall(r"`(\w+)`", row)


def test_the_navigation_lists_every_page():
    """A page that no menu leads to is not found."""
    config = tomllib.loads((ROOT / "zensical.toml").read_text())
    listed = set(re.findall(r"[\w/-]+\.md", str(config["project"]["nav"])))
    present = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert listed == present


def test_no_page_has_a_place_left_empty():
    """What was to be filled in was."""
    assert [page.name for page in PAGES if re.search(r"\b[A-Z]+_OUTPUT\b|TODO|FIXME", page.read_text())] == []


def test_links_between_pages_lead_somewhere():
    """A relative link names a file that is there."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_readme_can_be_read_elsewhere():
    """The package index shows it as well: its links are absolute, and what they name is there."""
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#]+)", readme)
    places = [re.sub(r"^https://[a-z.]+/asyncsecrets/asyncsecrets/(blob/)?main/", "", target) for target in targets]
    assert len(places) >= 10
    assert [place for place in places if not place.startswith("https://") and not (ROOT / place).exists()] == []
    assert [target for target in targets if not target.startswith("https://")] == []


def test_the_picture_of_the_demo_is_of_this_demo():
    """It shows the steps that the demo has now, and needs nothing from elsewhere to be seen."""
    shown = (ROOT / "docs/assets/demo.svg").read_text().replace("&#160;", " ")
    steps = re.findall(r'f?"(\d  [\w, ]+?)  ', (ROOT / "asyncsecrets/cli/demo/story.py").read_text())
    assert len(steps) == 5  # the number of readers is a constant there
    assert [step for step in steps if step[3:] not in shown] == []
    assert re.findall(r"https?://(?!www\.w3\.org|127\.0\.0\.1)", shown) == []
