"""Which proxy an environment names for which host, in every spelling that there is."""

from __future__ import annotations

import copy
import pprint
import urllib.parse

import pytest
from botocore.httpsession import ProxyConfiguration
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.proxies import Proxy, is_exempt, proxy_at, proxy_in, variable_in


@pytest.mark.parametrize(
    ("address", "told", "user"),
    [
        ("http://proxy.corp:3128", "http://proxy.corp:3128", ""),
        ("http://proxy.corp:3128/", "http://proxy.corp:3128", ""),
        ("http://proxy.corp:3128/proxy.pac?x", "http://proxy.corp:3128", ""),
        ("  http://Proxy.Corp:3128\n", "http://proxy.corp:3128", ""),
        ("HTTP://proxy.corp", "http://proxy.corp", ""),
        ("https://proxy.corp:3129", "https://proxy.corp:3129", ""),
        ("proxy.corp:3128", "http://proxy.corp:3128", ""),
        ("//proxy.corp:3128", "http://proxy.corp:3128", ""),
        ("proxy", "http://proxy", ""),
        ("10.1.2.3:3128", "http://10.1.2.3:3128", ""),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", ""),
        ("http://proxy.corp.:3128", "http://proxy.corp.:3128", ""),
        ("http://me:canary-p@proxy.corp:3128", "http://proxy.corp:3128", "me:canary-p"),
        ("me:canary-p@proxy.corp:3128", "http://proxy.corp:3128", "me:canary-p"),
        ("http://me:canary%40%2F%3a@proxy.corp", "http://proxy.corp", "me:canary@/:"),
        ("http://me:can@ary@proxy.corp", "http://proxy.corp", "me:can@ary"),
        ("http://me@proxy.corp", "http://proxy.corp", "me"),
        ("http://DOMAIN%5Cme:canary@proxy.corp", "http://proxy.corp", "DOMAIN\\me:canary"),
    ],
)
def test_spellings(address, told, user):
    """With a scheme or without one, with a user or without; what is told of it never has the user."""
    proxy = proxy_at(address, "HTTPS_PROXY")
    assert (proxy.address, proxy.user.reveal(), str(proxy)) == (told, user, f"the proxy {told} (HTTPS_PROXY)")
    shown = repr((proxy, proxy.url, vars(type(proxy)))) + str(proxy) + pprint.pformat(proxy) + repr(copy.copy(proxy))
    assert "canary" not in shown


@pytest.mark.parametrize(
    "address",
    ["proxy.corp:3128", "//proxy.corp:3128", "http://proxy.corp:3128", "https://proxy.corp:3128", "me:p%40@proxy.corp"],
)
def test_botocore_means_the_same(address):
    """botocore's spelling of each of its own spellings names the proxy that is named here."""
    theirs = urllib.parse.urlsplit(ProxyConfiguration({"https": address}).proxy_url_for("https://sts.test"))
    ours = urllib.parse.urlsplit(proxy_at(address, "HTTPS_PROXY").with_user())
    assert ours == theirs


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS"])
def test_socks(scheme):
    """A SOCKS proxy is named as that, with what to do."""
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY names a SOCKS proxy.*http://.*NO_PROXY") as caught:
        proxy_at(f"{scheme}://me:canary@proxy.corp:1080", "HTTPS_PROXY")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        *("http://", "http://:3128", "http://proxy:0", "http://proxy:99999", "http://proxy:port", "http://me:canary@"),
        *(
            "http://me:can/ary@proxy",
            "http://me:can ary@proxy",
            "http://pro\nxy",
            "http://prøxy",
            "http://[::1",
            "ftp://x",
        ),
        *("http://me:canary\\@proxy:3128", "http://proxy:3128 http://other"),
    ],
)
def test_what_is_no_proxy(address):
    """The error names the variable, and shows nothing of what is in it."""
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY") as caught:
        proxy_at(address, "HTTPS_PROXY")
    assert "ary" not in str(caught.value)
    assert caught.value.__context__ is None


@given(st.text(max_size=60))
def test_any_text(text):
    """Whatever a variable holds: a proxy whose parts are of an allowlist, or a ConfigError that does not quote it."""
    try:
        proxy = proxy_at(text, "HTTPS_PROXY")
    except ConfigError as error:
        told = str(error)
        assert told.startswith("HTTPS_PROXY")
        return
    assert proxy.url.scheme in {"http", "https"}
    assert proxy.url.raw_host
    assert (proxy.url.raw_user, proxy.url.raw_password, proxy.url.raw_path) == (None, None, "/")
    assert str(proxy).isprintable()
    assert str(proxy).isascii()


@given(
    st.text(
        st.characters(min_codepoint=1, exclude_categories=["Cs"]).filter(lambda c: c != ":"), min_size=1, max_size=20
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_any_password(user, password):
    """What is percent-encoded in the variable is what the proxy is shown, in one header whatever it is."""
    quoted = ":".join(urllib.parse.quote(part, safe="") for part in (user, password))
    proxy = proxy_at(f"http://{quoted}@proxy.corp:3128", "HTTPS_PROXY")
    assert proxy.user.reveal() == f"{user}:{password}"
    assert proxy.options()["proxy_headers"]["Proxy-Authorization"].isascii()
    assert proxy.options()["proxy_headers"]["Proxy-Authorization"].isprintable()
    assert proxy_at(proxy.with_user(), "again").user == proxy.user


@pytest.mark.parametrize(
    ("exempt", "entries"),
    [
        (True, "*"),
        (True, "vault.corp.test"),
        (True, "VAULT.corp.TEST"),
        (True, "vault.corp.test."),
        (True, ".corp.test"),
        (True, "corp.test"),
        (True, "*.corp.test"),
        (True, "other, corp.test ,third"),
        (True, "other corp.test"),
        (True, "vault.corp.test:8200"),
        (True, "corp.test:8200"),
        (False, "vault.corp.test:8201"),
        (False, "orp.test"),
        (False, "lt.corp.test"),
        (False, "vault.corp"),
        (False, "x.vault.corp.test"),
        (False, "10.0.0.0/8"),
        (False, ",, ,"),
        (False, "."),
        (False, ""),
        (False, "://:nonsense[/"),
    ],
)
def test_exempt_names(exempt, entries):
    """Hosts stand for their subdomains, with or without a dot or a star; a port limits an entry to itself."""
    for host in ("vault.corp.test", "Vault.Corp.Test", "vault.corp.test."):
        assert is_exempt(host, 8200, {"NO_PROXY": entries}) is exempt


@pytest.mark.parametrize(
    ("host", "exempt", "entries"),
    [
        ("10.66.0.88", True, "10.66.0.0/16"),
        ("10.66.0.88", True, "10.66.1.2/16"),
        ("10.66.0.88", True, "10.66.0.88"),
        ("10.66.0.88", True, "10.66.0.88:8200"),
        ("10.66.0.88", True, "localhost,127.0.0.1,10.66.0.0/16"),
        ("10.66.0.88", False, "10.66.0.88:443"),
        ("10.66.0.88", False, "10.67.0.0/16"),
        ("10.66.0.88", False, "0.88"),
        ("10.66.0.88", False, "10.66.0.0/99"),
        ("fd00::7", True, "fd00::/8"),
        ("fd00::7", True, "fd00:0::7"),
        ("fd00::7", True, "[fd00::7]"),
        ("fd00::7", True, "[fd00::7]:8200"),
        ("fd00::7", False, "[fd00::7]:443"),
        ("fd00::7", False, "fe80::/10"),
        ("fd00::7", False, "10.0.0.0/8"),
    ],
)
def test_exempt_addresses(host, exempt, entries):
    """Addresses and networks of both families."""
    assert is_exempt(host, 8200, {"no_proxy": entries}) is exempt


@given(st.text(max_size=50), st.text("0123456789abcdef:.[]/*,-", max_size=50))
def test_any_list(text, likely):
    """Nonsense in NO_PROXY exempts nobody by accident of an exception."""
    for entries in (text, likely):
        assert is_exempt("vault.corp.test", 8200, {"NO_PROXY": entries}) in {True, False}
        assert is_exempt("10.1.2.3", 8200, {"NO_PROXY": entries}) in {True, False}


def test_variables():
    """In any case, of which the lower one is preferred; an empty one, or one of blanks, is not set."""
    assert variable_in({"HTTPS_PROXY": "a", "https_proxy": "b"}, "HTTPS_PROXY") == "https_proxy"
    assert variable_in({"HTTPS_PROXY": "a", "https_proxy": ""}, "HTTPS_PROXY") == "HTTPS_PROXY"
    assert variable_in({"Https_Proxy": "a", "HTTPS_PROXY": " "}, "HTTPS_PROXY") == "Https_Proxy"
    assert variable_in({"HTTP_PROXY": "a"}, "HTTPS_PROXY") is None


def test_the_first_that_is_set():
    """Of several variables the first counts, and NO_PROXY for each of them; loopback needs none whatever they say."""
    environ = {"ALL_PROXY": "http://all:1", "NO_PROXY": "corp.test"}

    def found(host="vault.test", **more):
        return proxy_in({**environ, **more}, host, 443, "HTTPS_PROXY", "ALL_PROXY")

    assert found() == proxy_at("http://all:1", "ALL_PROXY")
    assert isinstance(found(), Proxy)
    assert found(HTTPS_PROXY="http://https:1").source == "HTTPS_PROXY"
    for host in ("vault.corp.test", "localhost", "a.localhost", "127.0.0.1", "127.3.2.1", "::1"):
        assert found(host) is None
    assert proxy_in({}, "vault.test", 443, "HTTPS_PROXY") is None
