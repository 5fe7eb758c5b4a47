"""A real LiteLLM proxy on asyncsecrets: it starts, serves, sees rotations, and how long our part keeps its event loop.

It needs an environment in which LiteLLM is, such as the one that `make test-litellm` makes::

    .venv-litellm/bin/python -m benchmarks.litellm_proxy
    .venv-litellm/bin/python -m benchmarks.litellm_proxy --workers 2
    .venv-litellm/bin/python -m benchmarks.litellm_proxy --workers 2 --server gunicorn
    .venv-litellm/bin/python -m benchmarks.litellm_proxy --workers 2 --server gunicorn-command

``gunicorn`` is LiteLLM's ``--run_gunicorn``, which preloads: the hook is made, and the workers are forked from it.
``gunicorn-command`` is ``gunicorn --preload``, which forks after LiteLLM is imported and before the hook is made.

The secrets are in the development server, or with ``--real`` in the OpenBao or Vault at VAULT_ADDR, in a mount of their
own; 60 ms for each answer are added. With ``--keys`` virtual keys are issued, renamed and deleted as well, for which
DATABASE_URL has to name a PostgreSQL with LiteLLM's tables. The provider is a fake on loopback.

Every way of LiteLLM's loop to us is timed in the proxy; ``benchmarks.loop_notes`` says what is counted. Exits with 1 if
something is not as the guide says.
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
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.litellm_store import MOUNT, Store, ask, opened
from benchmarks.loop_notes import NOTES, Stretch, stretches

MASTER = "sk-bench-master"
LONGEST = 0.005  # seconds that our part may keep LiteLLM's loop
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
    access_mode: read_and_write
    store_virtual_keys: true
    {hosted}
asyncsecrets:
  sources:
    default:
      key_management_system: hashicorp_vault
      key_management_settings:
        {{addr: "{vault}", token: os.environ/BENCH_TOKEN, mount_name: {mount}, allow_insecure_http: true,
         refresh_interval: 2}}
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
def proxy(arguments: argparse.Namespace, folder: Path, token: str) -> Iterator[tuple[str, Callable[[], bool]]]:
    """The address of a proxy that has begun to start, and whether it has ended."""
    port = free_port()
    environ = {**os.environ, "BENCH_TOKEN": token, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    environ["LITELLM_MASTER_KEY"] = "sk-bench-stale"  # must not stand in
    environ["CONFIG_FILE_PATH"] = str(folder / "config.yaml")
    environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    environ[NOTES] = str(folder / "notes")
    with (
        (folder / "log.txt").open("w") as log,
        subprocess.Popen(command(arguments, folder, port), env=environ, stdout=log, stderr=log) as running,
    ):
        try:
            yield f"http://127.0.0.1:{port}", lambda: running.poll() is not None
        finally:
            running.terminate()
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:
                running.kill()


def command(arguments: argparse.Namespace, folder: Path, port: int) -> list[str]:
    programs = Path(sys.executable).parent
    if arguments.server == "gunicorn-command":
        options = ["--preload", "--workers", str(arguments.workers), "--bind", f"127.0.0.1:{port}", "--timeout", "600"]
        worker = ["--worker-class", "uvicorn.workers.UvicornWorker"]
        return [str(programs / "gunicorn"), "litellm.proxy.proxy_server:app", *options, *worker]
    litellm = [str(programs / "litellm"), "--config", str(folder / "config.yaml"), "--host", "127.0.0.1"]
    litellm += ["--port", str(port), "--num_workers", str(arguments.workers)]
    if arguments.server == "gunicorn":
        return [*litellm, "--run_gunicorn"]
    # A machine that is busy takes longer to import LiteLLM than uvicorn waits for a worker.
    return [*litellm, "--timeout_worker_healthcheck", "1200"] if arguments.workers > 1 else litellm


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


class Trial:
    """One proxy, and what is looked at, in this order."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        folder: Path,
        store: Store,
        running: tuple[str, Callable[[], bool]],
        report: Report,
    ) -> None:
        self._url, self._has_ended = running
        self._arguments = arguments
        self._notes = folder / "notes"
        self._log = folder / "log.txt"
        self._store = store
        self._tell = report.tell

    def run(self) -> None:
        if self.starts():
            self.serves()
            since = time.time()
            statuses = load(self._url, self._arguments.seconds, 8)
            self._tell("chats under load", set(statuses) == {200}, f"{len(statuses)} in {self._arguments.seconds:g} s")
            self.sees_rotations()
            if self._arguments.keys:
                self.stores_keys()
            self.outlives_its_store()
            self.keeps_the_loop_free([one for one in stretches(self._notes) if one.when >= since])
        log = self._log.read_text()
        self._tell("no value and no absent name in the log", "sk-bench" not in log and "Defaulting to os" not in log)

    def starts(self) -> bool:
        began = time.monotonic()
        settled = wait_until(lambda: self._has_ended() or ask(f"{self._url}/health/liveliness")[0] == 200, 1200)
        up = settled and not self._has_ended()
        self._tell("the proxy starts", up, f"{time.monotonic() - began:.1f} s")
        return up

    def serves(self) -> None:
        models = [model["id"] for model in ask(f"{self._url}/v1/models", MASTER)[1].get("data", [])]
        self._tell("it lists its models with the key of the store", models == ["with-key", "without-key"])
        stale = ask(f"{self._url}/v1/models", "sk-bench-stale")[0]
        self._tell("an old variable is not the master key", stale >= 400)
        for model in ("with-key", "without-key"):
            self._tell(f"a chat with {model}", chat(self._url, model) == 200 and Provider.shown[-1].endswith("-1"))

    def sees_rotations(self) -> None:
        self._store.write("CHAT_KEY", "sk-bench-chat-2")
        self._store.write("OPENAI_API_KEY", "sk-bench-openai-2")
        for model in ("with-key", "without-key"):
            self._tell(f"a rotated key reaches {model}", wait_until(lambda model=model: self._is_new(model), 60))
        time.sleep(3)  # each worker asks the store at its own time
        since, before = time.time(), len(Provider.shown)
        statuses = load(self._url, 3, 8)
        served = {one.process for one in stretches(self._notes) if one.when >= since}
        is_new = set(statuses) == {200} and all(key.endswith("-2") for key in Provider.shown[before:])
        is_all = len(served) == self._arguments.workers or self._arguments.hosted
        self._tell(
            "every worker has it", is_new and is_all, f"{len(served)} of {self._arguments.workers} seen to ask us"
        )

    def _is_new(self, model: str) -> bool:
        return all(
            chat(self._url, model) == 200 and Provider.shown[-1].endswith("-2")
            for _ in range(2 * self._arguments.workers)
        )

    def stores_keys(self) -> None:
        """By LiteLLM's own endpoints. Its hooks run behind, so what they do is waited for."""
        issued = self._post("key/generate", {"key_alias": "a"})[1].get("key", "")
        self._tell("a key that is issued is stored", self._holds(a=issued))
        self._tell("it is accepted", ask(f"{self._url}/v1/models", issued)[0] == 200)
        self._post("key/update", {"key": issued, "key_alias": "b"})
        self._tell("a new alias is its new name", self._holds(a=None, b=issued))
        status, again = self._post(f"key/{issued}/regenerate", {})
        told = f"LiteLLM answers {status}"  # without a licence it does not
        self._tell("regenerated, it is replaced", status != 200 or self._holds(b=again.get("key")), told)
        self._post("key/delete", {"key_aliases": ["b"]})
        self._tell("one that is deleted is gone", self._holds(b=None))

    def _post(self, path: str, document: dict[str, Any]) -> tuple[int, Any]:
        return ask(f"{self._url}/{path}", MASTER, document)

    def _holds(self, **keys: str | None) -> bool:
        return "" not in keys.values() and wait_until(
            lambda: {alias: self._store.read(f"litellm/{alias}") for alias in keys} == keys, 20
        )

    def outlives_its_store(self) -> None:
        self._store.relay.is_down = True
        time.sleep(3)
        self._tell("the store is down, and no chat fails", set(load(self._url, 3, 4)) == {200})
        self._store.relay.is_down = False

    def keeps_the_loop_free(self, found: list[Stretch]) -> None:
        if not found:
            self._tell("our part of its loop", bool(self._arguments.hosted), "LiteLLM asked for nothing")
        for part in sorted({one.part for one in found}):
            these = [one for one in found if one.part == part]
            # To give the router a new key is LiteLLM's own work, once for each model and rotation.
            is_short = part == "router" or max(one.ours for one in these) < LONGEST
            self._tell(f"our part of its loop, {part}", is_short, figures(these))


def figures(these: list[Stretch]) -> str:
    def row(name: str) -> str:
        values = sorted(1e3 * getattr(one, name) for one in these)
        return f"{name} {values[len(values) // 2]:.3f} / {values[int(len(values) * 0.99)]:.3f} / {values[-1]:.3f}"

    return f"{len(these)} times, median / p99 / longest in ms: {'; '.join(map(row, ('wall', 'kept', 'ours', 'busy')))}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--server", choices=["uvicorn", "gunicorn", "gunicorn-command"], default="uvicorn")
    parser.add_argument("--hosted", action="store_true", help="with hosted_keys, LiteLLM asks for nothing else")
    parser.add_argument("--real", action="store_true", help="at VAULT_ADDR with VAULT_TOKEN")
    parser.add_argument("--keys", action="store_true", help="virtual keys, in the database of DATABASE_URL")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the load lasts")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as name, provider() as provided, opened(arguments.real) as store:
        folder = Path(name)
        store.write("LITELLM_MASTER_KEY", MASTER)
        store.write("CHAT_KEY", "sk-bench-chat-1")
        store.write("OPENAI_API_KEY", "sk-bench-openai-1")
        hosted = "hosted_keys: [LITELLM_MASTER_KEY, CHAT_KEY, OPENAI_API_KEY]" if arguments.hosted else ""
        text = CONFIG.format(provider=provided, vault=store.relay.url, mount=MOUNT, hosted=hosted)
        (folder / "config.yaml").write_text(text)
        (folder / "secret_manager.py").write_text("from benchmarks.litellm_timed import Timed\n")
        with proxy(arguments, folder, store.token) as running:
            Trial(arguments, folder, store, running, report).run()
            if report.failed:
                print((folder / "log.txt").read_text()[-4000:])
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
