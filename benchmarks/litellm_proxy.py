"""A real LiteLLM proxy on asyncsecrets: it starts, serves, sees rotations, and what our part of its event loop takes.

It needs an environment in which LiteLLM is, such as the one that `make test-litellm` makes::

    .venv-litellm/bin/python -m benchmarks.litellm_proxy
    .venv-litellm/bin/python -m benchmarks.litellm_proxy --workers 2
    .venv-litellm/bin/python -m benchmarks.litellm_proxy --workers 2 --gunicorn

The secrets are in the development server, which takes 60 ms for each answer. The provider is a fake on loopback. Every
call of the hook is timed in the proxy, by the clock and by the time that its thread had the processor: on a machine
with other work the first has their time in it. Exits with 1 if something is not as the guide says.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from asyncsecrets.testing.threads import served_in_thread
from asyncsecrets.testing.vault_server import VaultServer

LATENCY = 0.06  # seconds
MASTER = "sk-bench-master"
CONFIG = """
model_list:
  - model_name: with-key
    litellm_params: {{model: openai/gpt-x, api_base: "{provider}", api_key: os.environ/CHAT_KEY}}
  - model_name: without-key
    litellm_params: {{model: openai/gpt-x, api_base: "{provider}"}}
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  key_management_system: custom
  key_management_settings:
    custom_secret_manager: secret_manager.Timed
    {hosted}
asyncsecrets:
  sources:
    default:
      key_management_system: hashicorp_vault
      key_management_settings:
        {{addr: "{vault}", token: os.environ/BENCH_TOKEN, allow_insecure_http: true, refresh_interval: 2}}
"""
HOOK = """
import asyncio, atexit, json, os, time
from asyncsecrets.integrations.litellm import AsyncSecrets

calls = []

class Timed(AsyncSecrets):
    def sync_read_secret(self, secret_name, optional_params=None, timeout=None):
        began, busy = time.perf_counter(), time.thread_time()
        try:
            return super().sync_read_secret(secret_name, optional_params, timeout)
        finally:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                pass
            else:
                calls.append((time.time(), time.perf_counter() - began, time.thread_time() - busy))
                if len(calls) % 20 == 0:
                    write()

def write():
    with open(os.path.join(os.path.dirname(__file__), f"calls-{os.getpid()}.json"), "w") as file:
        json.dump(calls, file)
"""


class Provider(BaseHTTPRequestHandler):
    """Answers as OpenAI does, and notes the key that it was shown."""

    protocol_version = "HTTP/1.1"
    shown: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.shown.append(str(self.headers.get("authorization")).removeprefix("Bearer "))
        message = {"role": "assistant", "content": "hello"}
        answer = json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "gpt-x",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def provider() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def ask(url: str, key: str = "", data: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """One request, and its status and document."""
    sent = {
        "content-type": "application/json",
        **({"authorization": f"Bearer {key}"} if key else {}),
        **(headers or {}),
    }
    request = urllib.request.Request(url, headers=sent, data=None if data is None else json.dumps(data).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, {}


def store(vault: VaultServer, name: str, value: str) -> None:
    ask(
        f"{vault.url}/v1/secret/data/{name}", data={"data": {"key": value}}, headers={"X-Vault-Token": vault.root_token}
    )


def chat(url: str, model: str) -> int:
    message = {"role": "user", "content": "hello"}
    return ask(f"{url}/v1/chat/completions", MASTER, {"model": model, "messages": [message]})[0]


class Report:
    """What was looked at, and whether all of it was as it should be."""

    def __init__(self) -> None:
        self.failed = False

    def tell(self, what: str, is_so: bool, figure: str = "") -> None:
        self.failed |= not is_so
        print(f"{'ok  ' if is_so else 'FAIL'}  {what}{f': {figure}' if figure else ''}", flush=True)


@contextlib.contextmanager
def proxy(arguments: argparse.Namespace, folder: Path, vault: VaultServer) -> Iterator[str]:
    """The address of a proxy that has begun to start."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "litellm"), "--config", str(folder / "config.yaml")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", str(arguments.workers)]
    command += ["--run_gunicorn"] if arguments.gunicorn else []
    # A machine that is busy takes longer to import LiteLLM than uvicorn waits for a worker.
    command += ["--timeout_worker_healthcheck", "300"] if arguments.workers > 1 and not arguments.gunicorn else []
    environ = {**os.environ, "BENCH_TOKEN": vault.root_token, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    environ["LITELLM_MASTER_KEY"] = "sk-bench-stale"  # must not stand in
    with (
        (folder / "log.txt").open("w") as log,
        subprocess.Popen(command, env=environ, stdout=log, stderr=log) as running,
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:
                running.kill()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if is_so():
                return True
        time.sleep(0.2)
    return False


def load(url: str, seconds: float, readers: int) -> list[int]:
    """The statuses of chats that ``readers`` have at once, for so many seconds."""
    statuses: list[int] = []
    end = time.monotonic() + seconds

    def talk() -> None:
        while time.monotonic() < end:
            statuses.append(chat(url, ("with-key", "without-key")[len(statuses) % 2]))

    threads = [threading.Thread(target=talk) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def timed(folder: Path, since: float) -> list[tuple[float, float]]:
    """Calls of the hook on an event loop: seconds by the clock, and of the processor."""
    found = [call for path in folder.glob("calls-*.json") for call in json.loads(path.read_text())]
    return [(wall, busy) for when, wall, busy in found if when >= since]


def see(arguments: argparse.Namespace, folder: Path, vault: VaultServer, url: str, report: Report) -> None:
    began = time.monotonic()
    up = wait_until(lambda: ask(f"{url}/health/liveliness")[0] == 200, 600)
    report.tell("the proxy starts", up, f"{time.monotonic() - began:.1f} s")
    if not up:
        return
    models = [model["id"] for model in ask(f"{url}/v1/models", MASTER)[1].get("data", [])]
    report.tell("it lists its models with the key of the store", models == ["with-key", "without-key"])
    report.tell("an old variable is not the master key", ask(f"{url}/v1/models", "sk-bench-stale")[0] >= 400)
    for model in ("with-key", "without-key"):
        report.tell(f"a chat with {model}", chat(url, model) == 200 and Provider.shown[-1].endswith("-1"))
    since = time.time()
    statuses = load(url, arguments.seconds, 8)
    report.tell("chats under load", set(statuses) == {200}, f"{len(statuses)} in {arguments.seconds:g} s")
    store(vault, "CHAT_KEY", "sk-bench-chat-2")
    store(vault, "OPENAI_API_KEY", "sk-bench-openai-2")

    def is_new(model: str) -> bool:
        return all(chat(url, model) == 200 and Provider.shown[-1].endswith("-2") for _ in range(2 * arguments.workers))

    for model in ("with-key", "without-key"):
        report.tell(f"a rotated key reaches {model}", wait_until(lambda model=model: is_new(model), 60))
    vault.faults.status(503)
    time.sleep(3)
    report.tell("the store is down, and no chat fails", set(load(url, 3, 4)) == {200})
    calls = timed(folder, since)
    walls, busy = sorted(wall for wall, _ in calls), sorted(one for _, one in calls)
    if calls:
        places = [f"{1e6 * walls[len(walls) // 2]:.0f} µs", f"{1e6 * walls[int(len(walls) * 0.99)]:.0f} µs"]
        figures = f"{len(calls)} calls, median {places[0]}, p99 {places[1]}, longest {1e3 * walls[-1]:.2f} ms"
        report.tell("our part of its loop", busy[-1] < 0.005, f"{figures}; of the processor {1e3 * busy[-1]:.2f} ms")
    else:
        report.tell("our part of its loop", bool(arguments.hosted), "LiteLLM asked for nothing")
    log = (folder / "log.txt").read_text()
    report.tell("no value and no absent name in the log", "sk-bench" not in log and "Defaulting to os" not in log)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--gunicorn", action="store_true")
    parser.add_argument("--hosted", action="store_true", help="with hosted_keys, LiteLLM asks for nothing else")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the load lasts")
    arguments = parser.parse_args()
    report, vault = Report(), VaultServer()
    with tempfile.TemporaryDirectory() as name, provider() as provided, served_in_thread(vault, "loopback"):
        folder = Path(name)
        for secret, value in (("LITELLM_MASTER_KEY", MASTER), ("CHAT_KEY", "sk-bench-chat-1")):
            store(vault, secret, value)
        store(vault, "OPENAI_API_KEY", "sk-bench-openai-1")
        vault.faults.latency(LATENCY)
        hosted = "hosted_keys: [LITELLM_MASTER_KEY, CHAT_KEY, OPENAI_API_KEY]" if arguments.hosted else ""
        text = CONFIG.format(provider=provided, vault=vault.url, hosted=hosted)
        (folder / "config.yaml").write_text(text)
        (folder / "secret_manager.py").write_text(HOOK)
        with proxy(arguments, folder, vault) as url:
            see(arguments, folder, vault, url, report)
            if report.failed:
                print((folder / "log.txt").read_text()[-4000:])
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
