"""Texts that may stand where a ciphertext is expected: a million of them, through a key service's provider.

``python -m benchmarks.ciphertext_fuzz [TEXTS [SEED]]``. Each is read as an environment variable. What comes of it must
be what the text means to Python (as a literal) or to RFC 4648 (as base64), or DecodeError without a piece of the text;
and nothing of it may be compiled, run, imported or opened, which an audit hook watches. Exits with 1 otherwise.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import gc
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator

from asyncsecrets.errors import AsyncSecretsError, DecodeError
from asyncsecrets.providers.ciphertext import CiphertextProvider

PIECES = [
    *("\\", "'", '"', "b'", 'b"', "\\x", "\\x0", "\\x00", "\\400", "\\377", "\\7", "\\n", "\\N{BULLET}", "\\u0041"),
    *("$", "`", "=", "==", "+", "/", "-", "_", " ", "\n", "\r\n", "\t", "\0", "é", "\u2028", "\udcac", "#", "%s", "{}"),
    *(
        "__import__('os').system('id')",
        "b'%c' % 65",
        "f'{1}'",
        "rb'",
        "eval('1')",
        "lambda:0",
        "(b'x')",
        "'+b'",
        "$(id)",
    ),
]
EVENTS = {"compile", "exec", "import", "open", "os.system", "subprocess.Popen", "code.__new__", "marshal.loads"}
LEAST = 12  # characters of a text that tell something of it


class Settings:
    """Of a key service that nobody asks anything."""

    max_connections = 1

    def __init__(self) -> None:
        self.environ: dict[str, str] = {}

    def variables(self) -> dict[str, str]:
        """Where the text stands."""
        return self.environ


class Echo(CiphertextProvider):
    """Decrypts a ciphertext to itself."""

    system, largest, sizes = "google_kms", 128 * 1024, range(1)

    async def decrypt(self, ciphertext: bytes, _: str | None = None) -> bytes:
        return ciphertext

    async def _encrypt(self, plaintext: bytes) -> bytes:
        raise NotImplementedError


def spelled(chance: random.Random) -> str:
    """A ciphertext in one of its spellings, as likely as not with the shape of Google's."""
    data = b"\n$\x00" * chance.randrange(2) + chance.randbytes(int(chance.expovariate(1 / 40)))
    literal, packed = repr(data), base64.b64encode(data).decode()
    return chance.choice([literal, "b" + literal[2:-1], packed, base64.encodebytes(data).decode(), f" {packed} "])


def changed(chance: random.Random, text: str) -> str:
    """The text with a few pieces put in, taken out, or doubled."""
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(text) + 1)
        end = place + chance.choice([0, 0, 1, 2, 8])
        text = text[:place] + chance.choice([*PIECES, "", text[place:end] * 2]) + text[end:]
    return text


def texts(chance: random.Random, count: int) -> Iterator[str]:
    """Of all kinds; one in a thousand is as long as an environment takes."""
    for number in range(count):
        kind = chance.random()
        if number % 1000 == 999:
            unit = chance.choice([*PIECES, "A", "b", "A ", "\\x41", spelled(chance)])
            yield (
                chance.choice(["", "b'", "b", 'b"'])
                + unit * (100_000 // len(unit))
                + chance.choice(["", "'", '"', "="])
            )
        elif kind < 0.7:
            yield changed(chance, spelled(chance))
        elif kind < 0.9:
            yield chance.choice(["b'", 'b"', "b", ""]) + "".join(chance.choices(PIECES, k=chance.randrange(8)))
        else:
            yield "".join(map(chr, chance.choices(range(0x250), k=chance.randrange(40))))


def meant(text: str, found: bytes) -> bool:
    """Whether ``text`` means those bytes to others who read it."""
    if text[:2] in {"b'", 'b"'}:
        return ast.literal_eval(text) == found
    if text[:1] == "b" and "\\" in text:
        body = text[1:]
        return ast.literal_eval("b'" + "".join("\\'" if part == "'" else part for part in _parts(body)) + "'") == found
    return base64.b64decode(text.strip(" ").replace("\r", "").replace("\n", ""), validate=True) == found


def _parts(body: str) -> Iterator[str]:
    """Escapes as a whole, and the characters between them."""
    place = 0
    while place < len(body):
        size = 2 if body[place] == "\\" else 1
        yield body[place : place + size]
        place += size


class Watch:
    """Hears of what the interpreter does while a text is read."""

    def __init__(self) -> None:
        self.on = False
        self.events: Counter[str] = Counter()
        sys.addaudithook(self._heard)

    def _heard(self, event: str, _: object) -> None:
        if self.on and event in EVENTS:
            self.events[event] += 1


async def fuzz(count: int, seed: int) -> int:
    """Read them all; print what came of it; return how many were not as they should be."""
    settings, watch, outcomes, wrong = Settings(), Watch(), Counter(), 0
    provider = Echo(settings, None)  # it is never opened
    slowest, began = (0.0, 0), time.process_time()
    gc.disable()  # a collection would count as the time of whichever text it fell on
    for number, text in enumerate(texts(random.Random(seed), count)):
        if number % 10_000 == 0:
            gc.collect()
        settings.environ["NAME"] = text
        started = time.thread_time()
        watch.on = True
        try:
            outcome: object = (await provider.get("NAME")).reveal_bytes()
        except (AsyncSecretsError, Exception) as error:
            outcome = error
        watch.on = False
        slowest = max(slowest, (time.thread_time() - started, len(text)))
        outcomes[type(outcome).__name__] += 1
        if isinstance(outcome, bytes):
            wrong += not meant(text, outcome)
        else:
            wrong += type(outcome) is not DecodeError or tells(str(outcome), text)
    print(f"{count:,} texts (seed {seed}): {dict(outcomes)}; not as they should be: {wrong}")
    print(f"compiled, run, imported or opened meanwhile: {dict(watch.events) or 'nothing'}")
    print(f"most CPU time of one: {slowest[0] * 1e3:.1f} ms, for {slowest[1]:,} characters")
    print(f"CPU time of all, and of making and judging them: {time.process_time() - began:.0f} s")
    return wrong + watch.events.total()


def tells(message: str, text: str) -> bool:
    """Whether a message has a piece of the text in it that tells something."""
    said = message.replace("a Python bytes literal", "")
    return any(text[start : start + LEAST] in said for start in range(min(len(text), 200) - LEAST + 1))


def main(arguments: list[str] | None = None) -> int:
    """Run it."""
    given = [int(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    count, seed = [*given, 1_000_000, 1][:1] + [*given[1:], 1][:1]
    warnings.simplefilter("error")  # an escape that Python only warns of is no literal's
    return 1 if asyncio.run(fuzz(count, seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
