"""The plugin, as a user's tests have it: each of these runs a suite of his."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

import asyncsecrets.client
import asyncsecrets.testing.kit.clocks
import asyncsecrets.testing.kit.fakes
import asyncsecrets.testing.kit.leaks  # or pytester would forget them, and not what refers to them

SUITE = '''
import asyncio, pytest
from asyncsecrets import SecretsClient, get_secret

CONFIG = {"general_settings": {"key_management_system": "hashicorp_vault"}}

class App:
    """An app that opens its client itself."""
    async def __aenter__(self):
        self.client = await SecretsClient.from_config(CONFIG).__aenter__()
        return self
    async def __aexit__(self, *_):
        await self.client.aclose()
    async def handle(self):
        return await get_secret("DB", "none")

@MARK
async def test_set(fake_secrets, secrets_clock):
    fake_secrets.set("DB", "canary-1")
    async with App() as app:
        assert await app.handle() == "canary-1"
        fake_secrets.rotate("DB", "canary-2")
        await secrets_clock.advance(86_400)
        assert await app.handle() == "canary-2"

@MARK
async def test_nothing_is_left(fake_secrets):
    async with App() as app:
        assert await app.handle() == "none"

@MARK
@pytest.mark.secrets(DB="canary-marked")
async def test_marked():
    async with App() as app:
        assert await app.handle() == "canary-marked"

def test_plain_function(fake_secrets, assert_no_secret_leaks, assert_secret_equal):
    async def main():
        async with App() as app:
            return await app.handle()
    assert_secret_equal(fake_secrets.rotate("DB"), asyncio.run(main()))
    assert asyncio.run(main()) == asyncio.run(get_secret("DB"))
    assert_no_secret_leaks({"status": "ok"})

@pytest.fixture(scope="module")
def shared(module_fake_secrets):
    module_fake_secrets.set("SHARED", "canary-shared")
    return module_fake_secrets

@MARK
async def test_module_scope(shared, class_fake_secrets, package_fake_secrets, session_fake_secrets):
    async with App():
        assert await get_secret("SHARED") == "canary-shared"
        class_fake_secrets.set("SHARED", "canary-class")
        assert await get_secret("SHARED") == "canary-class"

@MARK
@pytest.mark.secrets({"with/slash": "canary-slash"}, SHARED=None)
async def test_module_scope_again(shared):
    async with App():
        assert await get_secret("SHARED", "none") == "none"
        assert await get_secret("with/slash") == "canary-slash"

@MARK
async def test_module_scope_once_more(shared):
    async with App():
        assert await get_secret("SHARED") == "canary-shared"
'''

QUIET = """
[pytest]
filterwarnings = error
"""

LOOPS = ["-o", "asyncio_default_fixture_loop_scope=function"]
AUTO = [*LOOPS, "-o", "asyncio_mode=auto"]

WAYS = {
    "strict": ("@pytest.mark.asyncio", [*LOOPS, "-o", "asyncio_mode=strict", "-p", "no:anyio"]),
    "strict, one loop": ('@pytest.mark.asyncio(loop_scope="session")', [*LOOPS, "-o", "asyncio_mode=strict"]),
    "auto": ("@(lambda test: test)", [*LOOPS, "-o", "asyncio_mode=auto"]),
    "anyio": ('@pytest.mark.anyio\n@pytest.mark.parametrize("anyio_backend", ["asyncio"])', ["-p", "no:asyncio"]),
}


@pytest.fixture
def suite(pytester, monkeypatch):
    """Runs a suite of a user's, in a folder of its own."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini(QUIET)

    def run(text, *options, where="inprocess", **files):
        pytester.makepyfile(test_it=text, **files)
        run = pytester.runpytest_inprocess if where == "inprocess" else pytester.runpytest_subprocess
        others = ["randomly", "cacheprovider", "faker", "hypothesispytest"]
        return run(*(f"-pno:{one}" for one in others), *options)

    return run


@pytest.mark.parametrize("way", WAYS)
def test_the_same_suite_runs_under_each_plugin(suite, way):
    """pytest-asyncio strict and auto, one loop for all tests or one for each, and anyio."""
    mark, options = WAYS[way]
    suite(SUITE.replace("@MARK", mark), *options).assert_outcomes(passed=7)


def test_it_runs_without_either(suite):
    """The user's coroutines run by asyncio.run, as they like."""
    text = SUITE.replace("@MARK", "@run") + "\n"
    text = text.replace("import asyncio, pytest\n", "import asyncio, functools, pytest\n", 1)
    run = (
        "def run(test):\n    @functools.wraps(test)\n    def call(**options):\n        asyncio.run(test(**options))\n"
        "    return call\n"
    )
    text = text.replace("class App:", run + "class App:", 1)
    suite(text, "-p", "no:asyncio", "-p", "no:anyio").assert_outcomes(passed=7)


SERVED = '''
import httpx2 as httpx, pytest
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from asyncsecrets import SecretsClient, get_secret

CONFIG = {"general_settings": {"key_management_system": "aws_secret_manager"}}
EARLY = SecretsClient.from_config(CONFIG)  # while the module is imported

@asynccontextmanager
async def lifespan(app):
    async with SecretsClient.from_config(CONFIG):
        yield

async def show(request):
    return PlainTextResponse(await get_secret("DB", "none"))

async def early(request):
    return PlainTextResponse((await EARLY.get("DB")).reveal())

def make(**options):
    return Starlette(routes=[Route("/", show), Route("/early", early)], **options)

@pytest.fixture(scope="module")
def once(module_fake_secrets):
    """An app whose lifespan runs once for all tests, in a thread."""
    with TestClient(make(lifespan=lifespan)) as client:
        yield client

@pytest.mark.parametrize("number", range(3))
def test_once_per_process(once, fake_secrets, number):
    assert once.get("/").text == "none"
    fake_secrets.set("DB", f"canary-{number}")
    assert once.get("/").text == f"canary-{number}"

@pytest.mark.parametrize("number", range(2))
def test_for_every_client(fake_secrets, number):
    fake_secrets.set("DB", f"canary-{number}")
    for _ in range(2):
        with TestClient(make(lifespan=lifespan)) as client:
            assert client.get("/").text == f"canary-{number}"
            assert client.get("/early").text == f"canary-{number}"

@pytest.mark.parametrize("number", range(2))
async def test_no_lifespan(fake_secrets, number):
    fake_secrets.set("DB", f"canary-{number}")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=make()), base_url="http://app") as client:
        assert (await client.get("/")).text == f"canary-{number}"
        assert (await client.get("/early")).text == f"canary-{number}"

async def test_and_none_is_left(fake_secrets):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=make()), base_url="http://app") as client:
        assert (await client.get("/")).text == "none"

def test_leaks(fake_secrets, assert_no_secret_leaks):
    fake_secrets.set("DB", "canary-leaks")
    with TestClient(make()) as client:
        with pytest.raises(AssertionError, match="'DB' in the body of a response"):
            assert_no_secret_leaks(client.get("/"))
'''


def test_apps_whose_lifespan_runs_once_always_or_never(suite):
    """Each test sees its own values, through clients that were made at import, per client, or once."""
    suite(SERVED, *AUTO).assert_outcomes(passed=9)


FAILING = """
import logging, pytest, sys
from asyncsecrets import SecretsClient, get_secret

LONG = "canary-" + "x1y2z3w4" * 60
PEM = "-----BEGIN KEY-----\\n" + "canary+MIIEvQIBADANBgkqhkiG9w0B\\n" * 3 + "-----END KEY-----"

async def connect(dsn, *args):
    kept = {"dsn": dsn, "bytes": dsn.encode()}
    raise ConnectionError(f"cannot connect with {dsn!r}")

@pytest.fixture
def password(fake_secrets):
    return fake_secrets.rotate("DB", "canary-fixture-value").reveal()

async def test_plain(fake_secrets):
    fake_secrets.set("DB", "canary-plain-value")
    value = await get_secret("DB")
    print(value)
    print(value, file=sys.stderr)
    logging.getLogger("app").error("it is %s", value)
    assert value == "something else"

async def test_long(fake_secrets):
    fake_secrets.set("DB", LONG)
    assert await get_secret("DB") == LONG + "?"

async def test_lines(fake_secrets):
    fake_secrets.set("DB", PEM)
    assert [await get_secret("DB")] == []

async def test_document(fake_secrets):
    fake_secrets.set("DB", {"user": "canary-user-name", "password": "canary-password"})
    async with SecretsClient.from_config({}) as client:
        assert (await client.get("DB")).json() == {"user": "canary-user-name", "password": "wrong-password"}

async def test_deep(fake_secrets, password):
    await connect(await get_secret("DB"))

@pytest.mark.secrets(DB="canary-of-the-mark")
async def test_chained():
    try:
        await connect(await get_secret("DB"))
    except ConnectionError as error:
        raise RuntimeError("no database") from error

@pytest.fixture
def broken(fake_secrets):
    value = fake_secrets.rotate("DB", "canary-broken-setup").reveal()
    yield
    raise ValueError(value)

def test_teardown(broken):
    pass

def test_compared(fake_secrets, assert_secret_equal):
    fake_secrets.set("DB", "canary-held")
    assert_secret_equal(fake_secrets.value("DB"), "canary-given")

async def test_printed(fake_secrets, assert_no_secret_leaks):
    fake_secrets.set("DB", "canary-printed")
    print(await get_secret("DB"))

def test_misused(fake_secrets):
    fake_secrets.set("DB", ["some-list"])
"""

OPTIONS = ["-l", "--tb=long", "-vv", "-rA", "-o", "junit_logging=all", *AUTO]


def _shown(result, junit):
    return result.stdout.str() + result.stderr.str() + junit.read_text()


@pytest.mark.leaks("the program under test does, and that is shown by nobody")
@pytest.mark.parametrize("style", ["long", "short", "native", "line"])
def test_a_failing_test_shows_no_value(suite, pytester, style):
    """In tracebacks with their local variables, source lines, comparisons, captured output, the summary and JUnit's
    XML; whatever the program did with them."""
    junit = pytester.path / "junit.xml"
    result = suite(FAILING, *OPTIONS, f"--tb={style}", f"--junitxml={junit}")
    result.assert_outcomes(passed=2, failed=8, errors=2)
    text = _shown(result, junit)
    assert [line for line in text.splitlines() if "canary" in line] == []
    assert "**********" in text
    assert "secrets leaked (no value is shown): 'DB' in Captured stdout call" in text
    assert "the secret 'DB' is not the value that was expected" in text
    if style == "long":
        assert "kept       = {'bytes': b'**********', 'dsn': '**********'}" in text
    assert int(ET.parse(junit).getroot()[0].attrib["failures"]) == 8


def test_nor_with_workers(suite, pytester):
    """Values are taken out where the test ran."""
    pytest.importorskip("xdist")
    junit = pytester.path / "junit.xml"
    result = suite(FAILING, *OPTIONS, "-n", "1", f"--junitxml={junit}", where="subprocess")
    result.assert_outcomes(passed=2, failed=8, errors=2)
    assert [line for line in _shown(result, junit).splitlines() if "canary" in line] == []


def test_a_marker_that_is_misused_is_told(suite):
    """By what it takes."""
    text = """
        import pytest

        @pytest.mark.secrets("DB")
        def test_text():
            pass

        @pytest.mark.secrets({}, {})
        def test_two():
            pass

        @pytest.mark.secrets(DB=7)
        def test_number():
            pass
    """
    result = suite(text, "--strict-markers", *LOOPS)
    result.assert_outcomes(errors=3)
    # Not the class before it: a report hides our package's name where some test beside it keeps a value that holds it.
    result.stdout.fnmatch_lines(["*takes NAME=*", "*the value of a secret is*"])


MARKED = """
import asyncio, pytest
from asyncsecrets import get_secret

pytestmark = pytest.mark.secrets(A="canary-module", B="canary-module")

def read(name):
    return asyncio.run(get_secret(name, "none"))

@pytest.mark.secrets(B="canary-class")
class TestMarked:
    @pytest.mark.secrets(C="canary-function")
    def test_nearest(self):
        assert [read("A"), read("B"), read("C")] == ["canary-module", "canary-class", "canary-function"]

    def test_others(self, fake_secrets):
        assert [read("A"), read("B"), read("C")] == ["canary-module", "canary-class", "none"]

@pytest.fixture(scope="class")
def rotated(class_fake_secrets):
    class_fake_secrets.rotate("A", "canary-rotated")

@pytest.mark.usefixtures("rotated")
class TestShared:
    @pytest.mark.secrets(C="canary-function")
    def test_what_the_class_has_changed_stays(self):
        assert [read("A"), read("B"), read("C")] == ["canary-rotated", "canary-module", "canary-function"]
"""


def test_a_marker_holds_for_what_it_is_on(suite):
    """The nearest one counts; what a kit of longer life was given already is not given again."""
    suite(MARKED, *LOOPS).assert_outcomes(passed=3)


UNITTEST = """
import asyncio, os, pytest, unittest
from asyncsecrets import get_secret

@pytest.mark.secrets(TOKEN="canary-unittest-token")
class TestToken(unittest.TestCase):
    def test_its_own_comparisons(self):
        self.assertIsNone(asyncio.run(get_secret("TOKEN")))

    def test_what_it_is_in(self):
        self.assertNotIn("TOKEN", {"PATH": "/bin", "TOKEN": asyncio.run(get_secret("TOKEN"))})

class TestAsync(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def kit(self, fake_secrets):
        self.secrets = fake_secrets

    async def test_it(self):
        self.secrets.set("A", "canary-isolated")
        assert await get_secret("A") == "canary-isolated"
"""


def test_unittest(suite):
    """Its test cases have the secrets of their marks, and its comparisons show none."""
    result = suite(UNITTEST, *LOOPS, "-vv")
    result.assert_outcomes(passed=1, failed=2)
    assert "canary" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*AssertionError: '[*][*]*' is not None"])


def test_a_program_may_have_imported_the_package_before_pytest():
    """As one does that runs pytest itself. pytest warns of a package that it cannot rewrite any more, unless its
    docstring says this."""
    assert "PYTEST_DONT_REWRITE" in (asyncsecrets.__doc__ or "")


def test_the_plugin_alone_is_loaded_where_nobody_uses_it():
    """Of this package: its front door and the plugin; and nothing of the standard library or others that pytest has
    not loaded. Nothing else of the package imports pytest, but the suite for providers."""
    code = (
        "import sys, json, pytest; before = set(sys.modules); import asyncsecrets.testing.plugin\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        "asyncsecrets", "asyncsecrets.boundary", "asyncsecrets.default", "asyncsecrets.errors", "asyncsecrets.lazily",
        "asyncsecrets.testing", "asyncsecrets.testing.plugin",
    ]  # fmt: skip
