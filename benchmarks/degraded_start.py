"""The store is down when an app starts, and is there five seconds later: what becomes of each policy.

Three servers are started while nobody listens where the store should be: one requires its secrets, to one they are
optional, one may start degraded. ``/readyz`` and a handler that reads are asked in each phase.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from benchmarks.web_app import NAMES
from benchmarks.web_load import PATIENCE, Server, readiness, served
from benchmarks.web_store import Store

DOWN = float(os.environ.get("BENCH_DOWN", "5"))  # seconds from the start until the store is there


class Case:
    """A server with one policy, and what was seen of it."""

    def __init__(self, policy: str, server: Server) -> None:
        self.policy = policy
        self.server = server
        self.port = server.port

    def settled(self) -> bool:
        """Whether it has come up or ended."""
        return not self.server.runs or readiness(self.port)[0] != 0

    def seen(self) -> tuple[str, str]:
        """What ``/readyz`` and the handler answer."""
        if not self.server.runs:
            return f"ended, exit code {self.server.process.returncode}", ""
        status, text = readiness(self.port)
        found = json.loads(text or "{}")
        told = f"{status} {found.get('status', '')}"
        if missing := found.get("missing"):
            told += f", missing {len(missing)}: {', '.join(sorted(set(missing.values())))}"
        return told, self._handler()

    def _handler(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/get_secret", timeout=10) as answer:
                return str(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return str(error.code)


@contextlib.contextmanager
def _started(store: Store) -> Iterator[list[Case]]:
    with contextlib.ExitStack() as life:
        cases = []
        for policy in ("required", "optional", "degraded"):
            environ = {**store.environ, "BENCH_POLICY": policy, "BENCH_INTERVAL": "300"}
            cases.append(Case(policy, life.enter_context(served(environ))))
        yield cases


def _until(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


def _print(title: str, cases: list[Case]) -> dict[str, tuple[str, str]]:
    seen = {case.policy: case.seen() for case in cases}
    for policy, (ready, handler) in seen.items():
        print(f"| {title} | {policy} | {ready} | {handler} |")
    return seen


def _check(down: dict[str, tuple[str, str]], back: dict[str, tuple[str, str]]) -> list[str]:
    expected = {
        "required: the start fails": down["required"][0].startswith("ended") and not down["required"][0].endswith(" 0"),
        "optional: ready without them": down["optional"][0].startswith("200"),
        "optional: who reads one is told that it cannot be had": down["optional"][1] == "503",
        "degraded: runs, and is not ready": down["degraded"][0].startswith("503"),
        "degraded: who reads one is told that it cannot be had": down["degraded"][1] == "503",
        "optional: had when the store is back": back["optional"][1] == "200",
        "degraded: ready when the store is back": back["degraded"] == ("200 fresh", "200"),
    }
    return [what for what, holds in expected.items() if not holds]


def main() -> None:
    """Run it, and print a table. Fails if something is not as it was said."""
    store = Store(NAMES)
    print("| the store | policy | /readyz | a handler that reads |")
    print("|---|---|---|---|")
    with _started(store) as cases:
        _until(lambda: all(case.settled() for case in cases), "they neither come up nor end")
        down = _print("down", cases)
        time.sleep(DOWN)
        with contextlib.ExitStack() as life:
            life.callback(store.kill)
            store.start()
            began = time.monotonic()
            _until(lambda: readiness(cases[2].port)[0] == 200, "the degraded app does not become ready")
            print(f"| back | degraded | ready {time.monotonic() - began:.1f} s later | |")
            back = _print("back", cases)
        named = sum(name in cases[0].server.said for name in NAMES)
    print(f"the start that failed named {named} of {len(NAMES)} names")
    wrong = _check(down, back) + ([] if named == len(NAMES) else ["required: not all names were named"])
    if wrong:
        raise SystemExit("not as it was said: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
