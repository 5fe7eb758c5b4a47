"""What every test has: the canary watch, and one hypothesis profile for the whole suite."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.canaries", "tests.commands", "tests.recorded"]

# A loaded machine is slow, not wrong: no deadline per example. `make soak` looks for longer.
_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=100, **_CALM)
settings.register_profile("soak", max_examples=5_000, **_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# A shell's background job is started with SIGINT ignored, and hands that on to its children; tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
