"""The canary watch finds what it is there to find: without this, a suite without leaks proves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

LEAKS = {
    "log message": "logging.getLogger('asyncsecrets').debug('value: canary-1')",
    "log argument": "logging.getLogger('asyncsecrets').debug('value: %s', 'canary-1')",
    "unused log argument": "logging.getLogger('asyncsecrets').debug({'a': 'canary-1'})",
    "extra field": "logging.getLogger('aiohttp').debug('x', extra={'payload': {'a': b'canary-1'}})",
    "logged traceback": """
        try:
            raise ValueError('canary-1')
        except ValueError:
            logging.getLogger('asyncio').exception('x')""",
    "chained traceback": """
        try:
            try:
                raise ValueError('canary-1')
            except ValueError:
                raise RuntimeError('x')
        except RuntimeError as error:
            logging.getLogger('x').error('x', exc_info=error)""",
    "standard output": "print('canary-1')",
    "standard error": "print('canary-1', file=sys.stderr)",
    "value of the documentation": "logging.getLogger('asyncsecrets').debug('value: sk-example-1')",
    "output of a child": "subprocess.run([sys.executable, '-c', 'print(\"canary-1\")'])",
}


PASSES = {
    "no leak": ("", "logging.getLogger('asyncsecrets').debug('nothing')"),
    "a test about output": ("@pytest.mark.shows_values('its subject')", "print('canary-1')"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """One run of pytest with a test for each leak, and those that pass, with no plugin but the watch: how each of them
    ended, and all that was said."""
    folder = tmp_path_factory.mktemp("leaks")
    planted = {**{name: ("", leak) for name, leak in LEAKS.items()}, **PASSES}
    tests = "".join(_test(number, *case) for number, case in enumerate(planted.values()))
    (folder / "test_it.py").write_text(f"import logging, subprocess, sys\nimport pytest\n{tests}")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = shows_values\n")
    (folder / "conftest.py").write_text("pytest_plugins = ['tests.canaries']\n")
    options = ["-p", "no:cacheprovider", "--tb=line", "--show-capture=no", "--junitxml=ended.xml"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    ended = {case.get("name"): [*case] for case in ET.parse(folder / "ended.xml").iter("testcase")}
    return {name: ended[f"test_{number}"] for number, name in enumerate(planted)}, ran.stdout + ran.stderr


def _test(number, marker, body):
    body = body if body.startswith("\n") else f"\n        {body}"
    return f"\nclass TestIt{number}:\n    {marker}\n    def test_{number}(self):{body}\n"


@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_planted_leak_is_found(outcomes, leak):
    """A test that leaks fails, for that."""
    [problem] = outcomes[0][leak]
    assert problem.tag in {"failure", "error"}
    assert "a value was" in problem.get("message", "") + (problem.text or "")


def test_a_report_does_not_repeat_a_leak(outcomes):
    """Nothing that the run has said, or that stands in its XML, has one."""
    problems = [problem for found in outcomes[0].values() for problem in found]
    texts = [outcomes[1], *(f"{problem.get('message')} {problem.text}" for problem in problems)]
    assert not any(sign in text for text in texts for sign in ("canary-1", "sk-example-1"))


@pytest.mark.parametrize("case", PASSES)
def test_what_does_not_leak_passes(outcomes, case):
    """No false alarm; and the marker is for tests whose subject is a value on standard output."""
    assert outcomes[0][case] == []
