"""The harness itself: what it is there to find is found."""

from __future__ import annotations

import pytest

from tests.examples.serving import Store, lives_through_rotation_and_outage, run, started

APP = """
import asyncio, logging, sys
from aiohttp import web
from asyncsecrets import SecretsClient, errors

async def key(request):
    try:
        return web.Response(text="signed with %s" % (await client.get("KEY")).reveal()[-1])
    except errors.AsyncSecretsError:
        raise web.HTTPServiceUnavailable from None

async def main():
    global client
    client = SecretsClient.from_environment()
    async with client:
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
        print(*runner.sites)
        print("http://127.0.0.1:%s" % runner.addresses[0][1])
        await asyncio.Event().wait()

app = web.Application()
app.router.add_get("/", key)
asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path):
    """An example that is as small as can be."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "config.yaml").write_text(
        "general_settings:\n  key_management_system: hashicorp_vault\n"
        "  key_management_settings:\n    refresh_interval: 300\n"
    )
    return tmp_path


def test_a_failed_request_is_told(folder):
    """One that keeps nothing through an outage."""
    text = (folder / "app.py").read_text().replace('client.get("KEY")', 'client.refresh("KEY")')
    (folder / "app.py").write_text(text)
    with (
        Store({"KEY": "canary-0"}) as store,
        started(["app.py", "0"], folder, store, ready="/") as app,
        pytest.raises(AssertionError, match="503"),
    ):
        lives_through_rotation_and_outage(app, store, "KEY", "/", lambda value: f"signed with {value[-1]}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("print('can' + 'ary-value')", "a value is in the output"),
        ("1 / 0", "ZeroDivisionError"),
        ("import warnings; warnings.warn('old', DeprecationWarning)", "DeprecationWarning"),
        ("open('config.yaml')", "ResourceWarning"),
    ],
)
def test_what_must_not_be_said_is_found(folder, line, told):
    """A value, a traceback, a warning; and the value is not said once more."""
    with Store() as store, pytest.raises(AssertionError, match=told) as failure, run(["-c", line], folder, store) as it:
        it.process.wait(30)
    assert "canary-value" not in str(failure.value)


def test_one_that_ends_too_early_is_told_with_its_last_words(folder):
    """It is not waited for."""
    command = ["-c", "raise SystemExit('no such example')"]
    with Store() as store, pytest.raises(AssertionError, match="no such example"), started(command, folder, store):
        pass
