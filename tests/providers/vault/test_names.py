"""No name reaches anything but its own secret: the grammar, and the bytes on the wire."""

from __future__ import annotations

import asyncio
import os
import random
import unicodedata
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets.errors import AsyncSecretsError, ConfigError, InvalidNameError, UnavailableError
from asyncsecrets.providers.vault import VaultSettings
from asyncsecrets.providers.vault.paths import MAX_NAME_BYTES, Paths, encode_name, is_loopback, split_address

from .conftest import opened
from .raw import RawServer, answer, mount, secret

ACCEPTED = [
    "A",
    "litellm/team-a",
    "a b/c d",
    "ü/ß",
    "日本/鍵",
    "a..b",
    "..a",
    ".env",
    "a+b",
    "x@y=z:1,2'3(4)!*",
    "100%",
    "a%2fb",
    "a%20b",
    "a%2eb/%zz",
    "https%3A%2F%2Fhost%2Fpath/data",
    "%25" * 300,
    "a\\b",
    "\\",
    "a?version=1",
    "a#f",
    "a;b",
    '"a" <b> `c` {d} [e] | ^',
    " a",
    "a ",
    "a / b",
    "🔑",
    "5 €/«a»·b",
    "a" * 1000,
]
REFUSED = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "...",
    "a/../b",
    "a/./b",
    "../../sys/seal",
    "%2e%2e/a",
    "a/%2E",
    "a/%252e%252e/b",
    "a%2f..%2fb",
    "a%2f%2e%2e%2fb",
    "a%5c..%5cb",
    "x\\..\\b",
    "..\\b",
    "a%00",
    "a%0d%0ab",
    "a%250ab",
    "%" + "25" * 20 + "2e",
    " ",
    "a\nb",
    "a\r\nX-H: 1",
    "a\0",
    "\t",
    "\x7f",
    "\ud800",
    "e\u0301",
    "a\u200b",
    "\u202ea",
    "\ufeffa",
    "a\u2028b",
    "a\uff0fb",
    "a\u2026",
    "\uff0e\uff0e",
    "a\uff05b",
    "a\xa0b",
    "a" * MAX_NAME_BYTES,
    "ü" * (MAX_NAME_BYTES // 2),
]
PIECES = [
    *(
        "a",
        "A",
        "b",
        "0",
        "x y",
        "-",
        "_",
        ".",
        "..",
        "...",
        "/",
        "//",
        "\\",
        "%",
        "%2e",
        "%2E%2e",
        "%2f",
        "%252f",
        "?",
        "#",
        ";",
    ),
    *(
        "@",
        ":",
        "&",
        "=",
        "+",
        "*",
        "~",
        "'",
        '"',
        "<",
        "|",
        "^",
        "`",
        "{",
        "[",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\0",
        "\x7f",
        "\x85",
    ),
    *(
        "é",
        "e\u0301",
        "ß",
        "\u017f",
        "K",
        "Å",
        "日",
        "\uff41",
        "\uff0e\uff0e",
        "\uff0f",
        "\u200b",
        "\u202e",
        "\ufeff",
        "\ud800",
        "🔑",
        "ﬁ",
        "İ",
    ),
    *(
        "sys",
        "seal",
        "data",
        "metadata",
        "v1",
        "secret",
        "version=1",
        "http://",
        "localhost",
        "canary",
        "X-Vault-Token: x",
    ),
]
PREFIX = b"/v1/secret/data/canary%20mount/"


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name):
    """What the server addresses exactly is let through, and decodes to itself."""
    assert unquote_to_bytes(encode_name(name)).decode() == name


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    """What a proxy, a server or a reader could take for another name is refused before any I/O."""
    with pytest.raises(InvalidNameError) as caught:
        encode_name(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(st.sampled_from(sorted({c for piece in PIECES for c in piece})) | st.characters(), max_size=40))
def test_encoding_is_exact(name):
    """Whatever is accepted is a path of plain characters that decodes to the name, in NFC, and leads nowhere else."""
    try:
        encoded = encode_name(name)
    except InvalidNameError:
        return
    assert unquote_to_bytes(encoded).decode() == name == unicodedata.normalize("NFC", name)
    assert encoded.isascii()
    assert all(encoded.split("/"))
    assert not set(encoded) & set("?#;\\ \r\n\t")
    for _ in range(3):  # nor for whatever decodes once too often on the way, or takes a backslash for a slash
        assert not any(segment and not segment.strip(".") for segment in encoded.replace("\\", "/").split("/"))
        encoded = unquote_to_bytes(encoded).decode("latin-1")
        assert not any(character < " " for character in encoded)


@pytest.mark.parametrize("setting", ["mount_name", "path_prefix", "namespace"])
@pytest.mark.parametrize("value", ["a/../b", "a/%2e%2e/b", "a\\..\\b", "a//b", "..", "a\nb"])
def test_settings_pass_the_same_grammar(setting, value):
    """A mount, prefix or namespace cannot lead elsewhere either."""
    with pytest.raises(ConfigError, match="path"):
        Paths(VaultSettings(addr="https://vault.test", token="canary", **{setting: value}))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/a/b", "Vault knows it as 'a/b'"),
        ("a/b/", "Vault knows it as 'a/b'"),
        ("a///b", "Vault knows it as 'a/b'"),
        ("/", "has two in a row"),
        ("a/../b", "dots only"),
        ("%2e%2e/b", "software that decodes it"),
        ("a\u200bb", "U+200B, which cannot be printed"),
        ("a\uff0fb", "U+FF0F, which some software takes for '/'"),
        ("a" * 2000, "longer than"),
    ],
)
def test_a_refusal_says_why(name, reason):
    """And where the server has such a secret under another name, which."""
    with pytest.raises(InvalidNameError) as caught:
        encode_name(name)
    assert reason in str(caught.value)


def test_url():
    """Namespace, mount and prefix stand where Vault wants them; outer slashes of settings do not matter."""
    settings = VaultSettings(
        addr="https://Vault.test:8200/",
        token="canary",
        namespace="/admin/team/",
        mount_name="kv x/",
        path_prefix="apps/",
    )
    paths = Paths(settings)
    assert str(paths.secret("a b", "data", "version=3")) == (
        "https://vault.test:8200/v1/admin/team/kv%20x/data/apps/a%20b?version=3"
    )
    assert paths.folder("", "metadata", "list=true").raw_path == "/v1/admin/team/kv%20x/metadata/apps"
    assert paths.api("auth/approle/login").raw_path == "/v1/auth/approle/login"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "vault:8200",
        "ftp://v",
        "https://",
        "https://u:p@v",
        "https://v?x",
        "https://v#x",
        "https://v:0",
        "https://v:99999",
        "https://v/../x",
        "https://v/%2e",
        "https://v\nw",
        "https://v/a//b",
        "https://v v",
        "unix://run/vault",
        "unix:run/vault",
        "unix:///",
        "unix:///run//vault",
        "unix:///run/va\nult",
        "http+unix:///run/vault",
        "https://v\\@w",
        "https://v..",
    ],
)
def test_bad_address(address):
    """An address with anything but scheme, host, port and a plain path is a configuration error."""
    with pytest.raises(ConfigError, match="addr"):
        split_address(address)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("http://127.0.0.1:1", True),
        ("http://localhost", True),
        ("http://[::1]:8200", True),
        ("http://127.0.0.1.evil.test", False),
        ("http://10.0.0.1", False),
        ("http://localhost.evil.test", False),
        ("http://[::2]", False),
        ("http://127.1", False),
    ],
)
def test_loopback(address, loopback):
    """Only this machine's own literal addresses may be spoken to in clear."""
    assert is_loopback(address) == loopback


async def hostile_names(count, seed):
    """Send `count` hostile names through a provider to a raw socket; return what arrived and what was accepted."""
    choose = random.Random(seed)
    accepted, targets, unexpected = set(), [], []

    def respond(request):
        if "/sys/internal/" in request.target:
            return answer(body=mount())
        if request.target == "/v1/auth/token/lookup-self":  # after a second, for the lease of the token
            return answer(body={"data": {"ttl": 0}})
        targets.append(request.line.encode("latin-1"))
        return answer(body=secret())

    async def one(provider, name):
        try:
            await provider.get(name)
        except InvalidNameError:
            return
        except AsyncSecretsError as error:
            unexpected.append(type(error))
        accepted.add(name)

    names = {"".join(choose.choices(PIECES, k=choose.randint(0, 5))) for _ in range(count * 3)}
    names = list(dict.fromkeys([*REFUSED, *ACCEPTED, *choose.sample(sorted(names), count)]))
    async with RawServer(respond) as server, opened(server.url, path_prefix="canary mount") as provider:
        for start in range(0, len(names), 64):
            await asyncio.gather(*(one(provider, name) for name in names[start : start + 64]))
    assert not unexpected
    return len(names), accepted, targets


def check_targets(accepted, targets):
    """Every target is below the prefix and is exactly one accepted name; no two names share one."""
    assert len(targets) == len(accepted) == len(set(targets))
    decoded = set()
    for line in targets:
        method, target, version = line.split(b" ")
        assert (method, version) == (b"GET", b"HTTP/1.1")
        assert target.startswith(PREFIX)
        assert not {b"", b".", b".."} & set(target.split(b"/")[1:])
        assert not set(target) & set(b"?#;\\")
        decoded.add(unquote_to_bytes(target.removeprefix(PREFIX)).decode())
    assert decoded == accepted


async def test_hostile_names_on_the_wire():
    """2,000 hostile names: no request target outside the prefix, no two names at one target."""
    tried, accepted, targets = await hostile_names(2_000, seed=1)
    check_targets(accepted, targets)
    assert 400 < len(accepted) < tried


@pytest.mark.soak
async def test_hostile_names_at_length():
    """200,000 hostile names: no request target outside the prefix, no two names at one target."""
    tried, accepted, targets = await hostile_names(int(os.environ.get("NAMES", "200000")), seed=2)
    check_targets(accepted, targets)
    print(f"{tried} names, {len(accepted)} accepted, {len(targets)} requests")


async def test_hostile_names_in_every_operation(provider_at):
    """No operation sends anything for a name that get would refuse."""
    async with RawServer() as server, provider_at(server.url, kv_version=2) as provider:
        for name in REFUSED:
            for call in (
                provider.put(name, "canary"),
                provider.delete(name),
                provider.versions(name),
                provider.restore(name),
                provider.restore(name, ["1"]),
                provider.destroy(name, ["1"]),
                provider.destroy(name),
                provider.patch(name, {}),
                provider.metadata(name),
                provider.write_metadata(name),
                provider.delete_versions(name, ["1"]),
            ):
                with pytest.raises(InvalidNameError):
                    await call
        assert server.requests == []


async def test_raw_server_would_show_an_escape():
    """The check above can fail: a target outside the prefix, or two of one kind, is noticed."""
    with pytest.raises(AssertionError):
        check_targets({"a"}, [b"GET /v1/sys/seal HTTP/1.1"])
    with pytest.raises(AssertionError):
        check_targets({"a", "b"}, [b"GET " + PREFIX + b"a HTTP/1.1"] * 2)
    with pytest.raises(UnavailableError):
        async with opened("http://127.0.0.1:1") as provider:
            await provider.get("a")
