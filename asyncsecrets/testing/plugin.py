"""The pytest plugin: fixtures for a program that reads secrets. Every pytest that finds this package loads it.

So it imports pytest, and nothing else until a fixture is used: no client, no server. Its fixtures are not coroutines,
and need no plugin for these: they are the same under pytest-asyncio, in each of its modes, under anyio, and without
either.

* ``fake_secrets``, ``class_fake_secrets``, ``module_fake_secrets``, ``package_fake_secrets``, ``session_fake_secrets``:
  `FakeSecrets`, for as long as the name says. Those of ``@pytest.mark.secrets(NAME="value")`` are set in it.
* ``secrets_clock``: `SecretsClock`.
* ``assert_no_secret_leaks``: `LeakWatch`; what the test prints is looked at as well, when it has ended.
* ``assert_secret_equal``: the function of that name.
* ``vault_server``, ``google_server``, ``azure_server``, ``aws_server``, and each with ``session_`` before it.

Values of secrets are taken out of what pytest reports of tests that fail.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from asyncsecrets.secret import Secret
    from asyncsecrets.testing.kit.clocks import SecretsClock
    from asyncsecrets.testing.kit.fakes import FakeSecrets
    from asyncsecrets.testing.kit.leaks import LeakWatch

_Scope = Literal["session", "package", "module", "class", "function"]

_MARK = "secrets"


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker is."""
    config.addinivalue_line(
        "markers",
        "secrets(mapping=None, /, **values): have these secrets in fake_secrets, which the test then has; None is no "
        "such secret; a mapping is for names that are no Python names",
    )


@pytest.hookimpl(trylast=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test that is marked its secrets, before anything else that it asks for."""
    names = getattr(item, "fixturenames", None)
    if names is not None and "fake_secrets" not in names and item.get_closest_marker(_MARK) is not None:
        names.insert(0, "fake_secrets")


def _fixture(scope: _Scope) -> Any:
    name = "fake_secrets" if scope == "function" else f"{scope}_fake_secrets"

    @pytest.fixture(scope=scope, name=name)
    def fake_secrets(request: pytest.FixtureRequest) -> Iterator[FakeSecrets]:
        """The secrets of the program under test, instead of those of its managers. See asyncsecrets.testing."""
        from asyncsecrets.testing.kit.fakes import FakeSecrets  # noqa: PLC0415

        with FakeSecrets(scope).installed() as kit:
            for mark in reversed([*request.node.iter_markers(_MARK)]):
                for secret, value in _marked(mark).items():
                    kit.set(secret, value)
            yield kit

    return fake_secrets


def _marked(mark: pytest.Mark) -> dict[str, Any]:
    if len(mark.args) > 1 or not all(isinstance(one, Mapping) for one in mark.args):
        from asyncsecrets.errors import ConfigError  # noqa: PLC0415

        raise ConfigError('@pytest.mark.secrets takes NAME="value" pairs, and before them one mapping of such at most')
    return {name: value for given in (*mark.args, mark.kwargs) for name, value in given.items()}


fake_secrets = _fixture("function")
class_fake_secrets = _fixture("class")
module_fake_secrets = _fixture("module")
package_fake_secrets = _fixture("package")
session_fake_secrets = _fixture("session")


@pytest.fixture
def secrets_clock() -> Iterator[SecretsClock]:
    """The time that clients go by: ``await secrets_clock.advance(86_400)`` lets a day pass."""
    from asyncsecrets.testing.kit.clocks import SecretsClock  # noqa: PLC0415

    with SecretsClock().installed() as clock:
        yield clock


_WATCHED = pytest.StashKey[bool]()


@pytest.fixture
def assert_no_secret_leaks(request: pytest.FixtureRequest) -> Iterator[LeakWatch]:
    """Call it with what might hold a value. When the test ends, what it logged and printed is looked through."""
    from asyncsecrets.testing.kit.leaks import LeakWatch  # noqa: PLC0415

    request.node.stash[_WATCHED] = True
    with LeakWatch().installed() as watch:
        yield watch
    watch()


@pytest.fixture
def assert_secret_equal() -> Callable[[Secret | str | bytes, Secret | str | bytes], None]:
    """Compare two values without showing them."""
    from asyncsecrets.testing.kit import comparing  # noqa: PLC0415

    return comparing.assert_secret_equal


def _server(manager: str, scope: _Scope) -> Any:
    @pytest.fixture(scope=scope, name=f"{manager}_server" if scope == "function" else f"{scope}_{manager}_server")
    def server() -> Iterator[Any]:
        """A server that answers as the manager does, in a thread, on loopback. See asyncsecrets.testing."""
        from asyncsecrets.testing.kit import servers  # noqa: PLC0415

        with getattr(servers, manager)() as running:
            yield running

    return server


vault_server, session_vault_server = _server("vault", "function"), _server("vault", "session")
google_server, session_google_server = _server("google", "function"), _server("google", "session")
azure_server, session_azure_server = _server("azure", "function"), _server("azure", "session")
aws_server, session_aws_server = _server("aws", "function"), _server("aws", "session")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that has printed a value, if it asked for that; and show no value."""
    report = yield
    if "asyncsecrets.testing.kit.held" not in sys.modules:
        return report
    from asyncsecrets.testing.kit import reports  # noqa: PLC0415

    if report.when == "teardown" and report.passed and item.stash.get(_WATCHED, False):
        leaks = reports.leaks_of(report)
        if leaks is not None:
            report.outcome, report.longrepr = "failed", leaks
    reports.hide(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Show no value where collecting fails."""
    report = yield
    if "asyncsecrets.testing.kit.held" in sys.modules:
        from asyncsecrets.testing.kit import reports  # noqa: PLC0415

        reports.hide(report)
    return report
