"""The canary watch finds what it is there to find: without this, a suite without leaks proves nothing."""

from __future__ import annotations

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


@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_planted_leak_is_found(pytester, leak):
    """A test that leaks fails, and the report does not repeat the leak."""
    result = _run(pytester, LEAKS[leak])
    outcome = result.parseoutcomes()
    assert outcome.get("failed", 0) + outcome.get("errors", 0) == 1
    assert "a value was" in result.stdout.str()


def test_a_test_without_a_leak_passes(pytester):
    """No false alarm."""
    assert _run(pytester, "logging.getLogger('asyncsecrets').debug('nothing')").parseoutcomes() == {"passed": 1}


def test_a_test_about_output_may_print(pytester):
    """The marker is for tests whose subject is a value on standard output."""
    result = _run(pytester, "print('canary-1')", "@pytest.mark.shows_values('its subject')")
    assert result.parseoutcomes() == {"passed": 1}


def _run(pytester, leak: str, marker: str = ""):
    pytester.makeini("[pytest]\nmarkers = shows_values")
    pytester.makeconftest("pytest_plugins = ['tests.canaries']")
    body = leak if leak.startswith("\n") else f"\n        {leak}"
    pytester.makepyfile(
        f"import logging, subprocess, sys\nimport pytest\n\nclass TestIt:\n    {marker}\n    def test(self):{body}\n"
    )
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "--tb=line", "--show-capture=no")
