"""The addresses of a cluster: what is one of them, and what a redirect to another place says of who gave it."""

from __future__ import annotations

import pytest
from yarl import URL

from asyncsecrets.errors import ConfigError, InsecureTransportError
from asyncsecrets.providers.vault import VaultSettings
from asyncsecrets.providers.vault.calls import Call
from asyncsecrets.providers.vault.origins import Origins

from .raw import RawServer

CALL = Call("read", "GET", URL("https://node1.test/v1/secret/data/a%21b?version=1", encoded=True))
SAME = "/v1/secret/data/a!b?version=1"


def origins_of(addr, *others, **more):
    return Origins(VaultSettings(addr=addr, token="canary-token", cluster_addrs=others, **more))


@pytest.mark.parametrize(
    ("addr", "node", "origin", "followed"),
    [
        ("https://node1.test", "https://node2.test", "https://node2.test:443", True),
        ("https://node1.test", "https://node2.test:443", "https://Node2.test", True),
        ("https://node1.test", "https://node2.test", "https://node2.test:8443", False),
        ("https://node1.test", "https://node2.test:8443", "https://node2.test", False),
        ("https://node1.test", "https://node2.test", "http://node2.test:443", False),
        ("https://node1.test", "https://node2.test", "https://node2.test:443@evil.test", False),
        ("https://node1.test", "https://node2.test", "HTTPS://Node2.test:443", True),
        ("http://127.0.0.1:8200", "http://127.0.0.1", "http://127.0.0.1:80", True),
    ],
)
def test_the_default_port_may_be_left_out(addr, node, origin, followed):
    """Written or not, it is the same origin; what is asked is the origin as it was configured."""
    origins = origins_of(addr, node)
    assert origins.trusted(origin) == origins.trusted(f"{origin}/") == (node if followed else None)
    target = origins.redirect(CALL, 307, f"{origin}/v1/secret/data/a!b?version=1")
    assert target == (node if followed else None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_only_two_kinds_of_redirects_are_followed(status):
    """The others may change the method, or are for good."""
    target = origins_of("https://node1.test").redirect(CALL, status, f"https://node1.test{SAME}")
    assert target == ("https://node1.test" if status in {307, 308} else None)


@pytest.mark.parametrize(
    ("addr", "status", "location", "standby"),
    [
        ("https://node1.test", 307, f"https://node9.test{SAME}", True),
        ("https://node1.test", 307, f"HTTPS://Node9.test:8200{SAME}", True),
        ("https://node1.test", 307, f"http://node9.test{SAME}", False),
        ("http://127.0.0.1:8200", 307, f"http://127.0.0.1:9200{SAME}", True),
        ("http://127.0.0.1:8200", 307, f"https://node9.test{SAME}", True),
        ("https://node1.test", 308, f"https://node9.test{SAME}", False),
        ("https://node1.test", 302, f"https://node9.test{SAME}", False),
        ("https://node1.test", 307, "https://node9.test/v1/secret/data/other?version=1", False),
        ("https://node1.test", 307, "https://node9.test/v1/secret/data/a!b", False),
        ("https://node1.test", 307, f"https://user@node9.test{SAME}", False),
        ("https://node1.test", 307, SAME, False),
        ("https://node1.test", 307, "", False),
    ],
)
def test_a_standby_redirects_to_the_same_place_as_safely(addr, status, location, standby):
    """What another proxy or an attacker gives is refused for good: so is what would send a token in clear."""
    assert origins_of(addr).is_of_a_standby(CALL, status, location) is standby


@pytest.mark.parametrize(
    ("addr", "other", "more", "allowed"),
    [
        ("http://127.0.0.1:8200", "http://localhost:8201", {}, True),
        ("http://127.0.0.1:8200", "http://vault.test", {}, False),
        ("http://127.0.0.1:8200", "https://vault.test", {}, True),
        ("http://vault.test", "https://vault.test", {}, False),
        ("http://vault.test", "http://vault2.test", {"allow_insecure_http": True}, True),
        ("https://vault.test", "http://vault2.test", {"allow_insecure_http": True}, False),
        ("https://vault.test", "http://127.0.0.1:8200", {}, False),
    ],
)
def test_no_token_goes_in_clear_over_a_network(addr, other, more, allowed):
    """Also not by way of another node of the cluster."""
    if not allowed:
        with pytest.raises(ConfigError, match="http"):
            origins_of(addr, other, **more)
        return
    origins = origins_of(addr, other, **more)
    assert (origins.nodes, origins.any_secure) == ((addr, other), "https:" in addr + other)


@pytest.mark.parametrize(
    ("addr", "others", "insecure", "only_here"),
    [
        ("https://node1.test", (), False, False),
        ("https://localhost:8200", (), False, False),
        ("http://localhost:8200", (), False, True),
        ("http://127.0.0.1:8200", ("http://localhost:8300",), False, True),
        ("http://localhost:8200", ("https://node1.test",), False, True),
        ("http://localhost:8200", (), True, False),
        ("http://node1.test", ("http://localhost:8200",), True, False),
    ],
)
def test_plain_http_that_must_not_leave_this_machine(addr, others, insecure, only_here):
    """It is allowed for a name of this machine, unless it is allowed anyway."""
    assert origins_of(addr, *others, allow_insecure_http=insecure).only_here == only_here


@pytest.mark.parametrize("operation", ["get", "put"])
@pytest.mark.parametrize("others", [(), ("http://localhost:8200",), ("http://vault.localhost:8200",)])
async def test_a_local_name_that_is_elsewhere(provider_at, resolving, others, operation):
    """Where it resolves to another machine nothing is sent, and the error says what to mend."""
    resolving("198.51.100.7")
    addr = "http://127.0.0.1:1" if others else "http://localhost:8200"
    async with provider_at(addr, cluster_addrs=others) as provider:
        with pytest.raises(InsecureTransportError, match="hosts file") as caught:
            await (provider.get("name") if operation == "get" else provider.put("name", "canary-value"))
    assert not caught.value.outcome_unknown


async def test_a_local_name_that_is_here(provider_at, resolving):
    """Whichever of its addresses answers."""
    resolving("::1", "127.0.0.1")
    async with RawServer() as server, provider_at(server.url.replace("127.0.0.1", "localhost")) as provider:
        await provider.get("name")
        assert server.requests[-1].target == "/v1/secret/data/name"
