"""What every test has: the canary watch, and one hypothesis profile for the whole suite."""

from __future__ import annotations

import asyncio.constants
import gc
import os
import signal
import traceback

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.canaries", "tests.commands", "tests.recorded"]

# In debug mode asyncio notes where each future, task and handle was made: the whole stack, and it looks at each file of
# that. Under pytest this was most of what such a test took. It finds no fault, it is told with one: a few frames do.
_FRAMES = 4
asyncio.constants.DEBUG_STACK_DEPTH = _FRAMES
traceback.extract_stack.__defaults__ = (None, _FRAMES)  # which C's futures and tasks call, without a limit

# It also logs what took a tenth of a second, tasks with results: on a loaded machine any of a test's own, canaries.
_NEVER = property(lambda _: float("inf"), lambda _, __: None)
asyncio.BaseEventLoop.slow_callback_duration = _NEVER  # type: ignore[assignment]

# A loaded machine is slow, not wrong: no deadline per example. `make soak` looks for longer.
_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=100, **_CALM)
settings.register_profile("soak", max_examples=5_000, **_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# A shell's background job is started with SIGINT ignored, and hands that on to its children; tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def small_heap():
    """A collection looks at what the test has made, and not at every module that is imported."""
    gc.freeze()
    yield
    gc.unfreeze()
