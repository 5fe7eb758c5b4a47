"""What every test has: the canary watch."""

from __future__ import annotations

pytest_plugins = ["tests.canaries"]
