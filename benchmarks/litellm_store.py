"""Where the secrets of a LiteLLM proxy are in a benchmark: the development server, or a real OpenBao or Vault.

A relay before it makes every answer late, and can be down. The secrets are in a mount of their own, which is taken out
at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from asyncsecrets.testing.threads import served_in_thread
from asyncsecrets.testing.vault_server import VaultServer
from benchmarks.relay import Relay

__all__ = ["LATENCY", "MOUNT", "Store", "ask", "opened"]

LATENCY = 0.06  # seconds that each answer takes
MOUNT = "asyncsecrets-bench"


def ask(
    url: str, key: str = "", data: Any = None, headers: dict[str, str] | None = None, method: str | None = None
) -> tuple[int, Any]:
    """One request, and its status and document."""
    sent = {
        "content-type": "application/json",
        **({"authorization": f"Bearer {key}"} if key else {}),
        **(headers or {}),
    }
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, headers=sent, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, {}


class Store:
    """What a benchmark does at the server by other means than ours; ``relay`` is where the proxy finds it."""

    def __init__(self, url: str, token: str, relay: Relay) -> None:
        self.token = token
        self.relay = relay
        self._url = url

    def write(self, name: str, value: str) -> None:
        self._ask("POST", f"{MOUNT}/data/{name}", {"data": {"key": value}})

    def read(self, name: str) -> str | None:
        status, document = self._ask("GET", f"{MOUNT}/data/{name}")
        return str(document["data"]["data"]["key"]) if status == 200 else None

    def mount(self) -> None:
        self._ask("POST", f"sys/mounts/{MOUNT}", {"type": "kv", "options": {"version": "2"}})
        end = time.monotonic() + 10
        while self._ask("GET", f"{MOUNT}/config")[0] != 200:  # a new mount is not ready at once
            if time.monotonic() > end:
                raise SystemExit(f"the server has no mount {MOUNT!r}, and lets this token make none")
            time.sleep(0.05)

    def unmount(self) -> None:
        self._ask("DELETE", f"sys/mounts/{MOUNT}")

    def _ask(self, method: str, path: str, data: Any = None) -> tuple[int, Any]:
        return ask(f"{self._url}/v1/{path}", data=data, headers={"X-Vault-Token": self.token}, method=method)


class _Always(random.Random):
    """No chance: every answer takes as long as the longest, and none is lost."""

    def random(self) -> float:
        return 1.0


@contextlib.contextmanager
def opened(is_real: bool) -> Iterator[Store]:
    """The server of VAULT_ADDR and VAULT_TOKEN if ``is_real``, or else the development server."""
    with contextlib.ExitStack() as stack:
        url, token = _given() if is_real else _started(stack)
        relay = Relay(url, resets=0.0, late=0.0, delay=LATENCY, dice=_Always())
        store = Store(url, token, stack.enter_context(served_in_thread(relay, "loopback")))
        stack.callback(store.unmount)
        store.mount()
        yield store


def _started(stack: contextlib.ExitStack) -> tuple[str, str]:
    vault = stack.enter_context(served_in_thread(VaultServer(), "loopback"))
    return vault.url, vault.root_token


def _given() -> tuple[str, str]:
    url, token = os.environ.get("VAULT_ADDR", ""), os.environ.get("VAULT_TOKEN", "")
    if not (url.startswith("http://") and token):
        raise SystemExit("--real wants VAULT_ADDR, an http address, for a relay stands before it, and VAULT_TOKEN")
    return url.rstrip("/"), token
