"""Request targets are taken apart as the real server does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.testing.vault_server._model import Refused
from asyncsecrets.testing.vault_server.wire import build_call, clean_path


def _refusal(target: str) -> tuple[int, str | None]:
    with pytest.raises(Refused) as caught:
        clean_path(target)
    return caught.value.reply.status, caught.value.reply.headers.get("Location")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v1/secret/data/a%2Fb", "/v1/secret/data/a/b"),
        ("/v1/secret/data/plus+sign", "/v1/secret/data/plus+sign"),
        ("/v1/secret/data/%C3%BC?version=1", "/v1/secret/data/ü"),
        ("/v1/secret/data/pct%2525", "/v1/secret/data/pct%25"),
        ("/v1/secret/data/a..b", "/v1/secret/data/a..b"),
        ("http://127.0.0.1:8200/v1/secret", "/v1/secret"),
    ],
)
def test_a_path_is_decoded_once(target: str, path: str) -> None:
    """Encoded slashes are slashes, a plus is a plus, and nothing is decoded twice."""
    assert clean_path(target) == path


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/v1//secret?x=1", 307, "/v1/secret?x=1"),
        ("/v1/a/../b", 307, "/v1/b"),
        ("/v1/a/./b/", 307, "/v1/a/b/"),
        ("/v1/%2e%2e/b", 400, None),
        ("/v1/a%2F..%2Fb", 400, None),
        ("/v1/a%0Ab", 400, None),
        ("/v1/a%00", 400, None),
        ("/v1/a%zz", 400, None),
        ("/v1/a%C2%A0b", 400, None),
    ],
)
def test_what_is_not_clean_is_redirected_or_refused(target: str, status: int, location: str | None) -> None:
    """Raw dots and doubled slashes are redirected to the clean path, encoded ones and control characters refused."""
    assert _refusal(target) == (status, location)


@given(st.text(alphabet=st.sampled_from("/.%2eEfF0aZ?#v1+ "), max_size=30))
def test_any_target_is_a_path_or_a_refusal(text: str) -> None:
    """And a path that is let through has no relative segment and no control character."""
    status, path = 200, ""
    try:
        path = clean_path("/" + text)
    except Refused as refused:
        status = refused.reply.status
    assert status in {200, 307, 400}
    if status == 200:
        assert not {".", ".."} & set(path.split("/"))
        assert path.encode("utf-8", "surrogateescape").decode("utf-8", "replace").isprintable()


@given(st.binary(max_size=40))
def test_any_body_is_an_object_or_a_refusal(body: bytes) -> None:
    """Malformed JSON is a 400, never a failure of the server."""
    status, decoded = 200, {}
    try:
        decoded = build_call("POST", "/v1/secret/data/a", {"Content-Type": "application/json"}, body, 0.0).body
    except Refused as refused:
        status = refused.reply.status
    assert status in {200, 400}
    assert isinstance(decoded, dict)


def test_a_token_comes_in_either_header() -> None:
    """``X-Vault-Token`` first, then ``Authorization: Bearer``; other schemes are none of ours."""
    for headers, token in (
        ({"X-Vault-Token": "canary-a", "Authorization": "Bearer canary-b"}, "canary-a"),
        ({"Authorization": "Bearer canary-b"}, "canary-b"),
        ({"Authorization": "Basic canary-b"}, None),
    ):
        call = build_call("GET", "/v1/x", headers, b"", 0.0)
        assert call.token == token
        assert "canary" not in repr(call)
