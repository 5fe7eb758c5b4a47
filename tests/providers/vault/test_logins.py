"""Logging in, staying logged in, and what happens when that ends: against the dev server, or a real one."""

from __future__ import annotations

import asyncio
import contextlib
import os

import aiohttp
import pytest
import trustme
from aiohttp import web

from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.testing.vault_server import VaultServer

from .backend import Backend, Issuer

REAL = os.environ.get("ASYNCSECRETS_TEST_REAL_VAULT") == "1"


@pytest.fixture(params=["fake", *(["real"] if REAL else [])])
async def backend(request):
    """A server with one secret; the dev server, and the real one that VAULT_ADDR names."""
    if request.param == "real":
        backend = Backend(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])
        backend.server = None
        await backend.write()
        yield backend
        return
    async with VaultServer(root_token="canary-root") as server:
        backend = Backend(server.url, server.root_token)
        backend.server = server
        await backend.write()
        yield backend


async def read(provider):
    """Read the secret, which must be right."""
    secret = await provider.get("name")
    assert secret.field("key").equals("canary-value")


async def test_approle(backend, provider_at):
    """AppRole logs in once, whoever asks."""
    async with provider_at(backend.url, **await backend.approle()) as provider:
        await asyncio.gather(*(read(provider) for _ in range(50)))
        assert provider.tokens.logins == 1


async def test_approle_elsewhere(backend, provider_at):
    """AppRole at another mount path, written with slashes or without."""
    login = await backend.approle("team/approle")
    for path in ("team/approle", "/team/approle/"):
        async with provider_at(backend.url, **login | {"approle_mount_path": path}) as provider:
            await read(provider)


async def test_login_namespace_differs(backend, provider_at):
    """The login happens in one namespace, the secrets are read in another."""
    for path, namespace in (("outer", ""), ("inner", "outer")):
        await ignore(backend("POST", f"sys/namespaces/{path}", {}, namespace))
    mount = {"type": "kv", "options": {"version": "2"}}
    await ignore(backend("POST", "sys/mounts/secret", mount, "outer/inner"))
    await backend.write(namespace="outer/inner")
    login = await backend.approle(namespace="outer", token_policies="child")
    policy = 'path "inner/secret/data/*" { capabilities = ["read"] }'
    await backend("POST", "sys/policies/acl/child", {"policy": policy}, "outer")
    settings = {"login_namespace": "outer", "secret_namespace": "outer/inner"}
    async with provider_at(backend.url, **login, **settings) as provider:
        await read(provider)
    async with provider_at(backend.url, **login, namespace="outer/inner") as provider:
        with pytest.raises(AuthenticationError, match="login"):
            await provider.get("name")


async def ignore(call):
    """Do it, unless it is done."""
    try:
        await call
    except ValueError:
        return


async def test_role_without_secret_id(backend, provider_at):
    """A role that binds no secret id is logged in to by its role id alone."""
    role = {"bind_secret_id": False, "secret_id_bound_cidrs": ["127.0.0.0/8"], "token_policies": "reader"}
    await backend.enable("approle")
    await backend("POST", "auth/approle/role/open", role)
    role_id = (await backend("GET", "auth/approle/role/open/role-id"))["data"]["role_id"]
    async with provider_at(backend.url, approle_role_id=role_id) as provider:
        await read(provider)


async def test_forgotten_secret_id(backend, provider_at):
    """A role that wants a secret id and gets none: the error names the settings that give one."""
    login = await backend.approle()
    del login["approle_secret_id"]
    async with provider_at(backend.url, **login) as provider:
        with pytest.raises(AuthenticationError, match=r"HCP_VAULT_APPROLE_SECRET_ID\) or approle_secret_id_file"):
            await provider.get("name")


async def test_wrong_secret_id(backend, provider_at):
    """A refused login is AuthenticationError, and is not tried again for every caller."""
    login = await backend.approle()
    login["approle_secret_id"] = "canary-wrong"
    async with provider_at(backend.url, **login) as provider:
        results = await asyncio.gather(*(provider.get("name") for _ in range(50)), return_exceptions=True)
        results += await asyncio.gather(*(provider.get("name") for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {AuthenticationError}
    assert len({id(result) for result in results}) == 100
    assert not any("canary" in str(result) for result in results)
    if backend.server:
        assert backend.server.count("POST", "/v1/auth/approle/login") == 1


async def test_wrapped_secret_id(backend, provider_at):
    """A response-wrapped secret id is opened once and used for every later login."""
    login = await backend.approle()
    login["approle_secret_id"] = await wrapped(backend)
    async with provider_at(backend.url, **login, approle_secret_id_wrapped=True) as provider:
        await read(provider)
        await backend("POST", "auth/token/revoke", {"token": provider.tokens.current().text})
        await read(provider)
        assert provider.tokens.logins == 2


async def wrapped(backend):
    """A wrapping token with a secret id in it."""
    headers = {"X-Vault-Token": backend.token, "X-Vault-Wrap-TTL": "60s"}
    url = f"{backend.url}/v1/auth/approle/role/canary/secret-id"
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json={}) as answer:
        return (await answer.json())["wrap_info"]["token"]


async def test_wrapped_secret_id_of_another_making(backend, provider_at):
    """A wrapping token that holds the answer of another path is refused, and not opened."""
    login = await backend.approle()
    headers = {"X-Vault-Token": backend.token, "X-Vault-Wrap-TTL": "60s"}
    async with aiohttp.ClientSession(headers=headers) as session:
        url = f"{backend.url}/v1/sys/wrapping/wrap"
        async with session.post(url, json={"secret_id": "canary-planted"}, ssl=backend.ssl) as answer:
            login["approle_secret_id"] = (await answer.json())["wrap_info"]["token"]
    async with provider_at(backend.url, **login, approle_secret_id_wrapped=True) as provider:
        with pytest.raises(ConfigError, match="not made for a secret id of the AppRole at 'approle'"):
            await provider.get("name")
    opened = await backend("POST", "sys/wrapping/unwrap", token=login["approle_secret_id"])
    assert opened["data"] == {"secret_id": "canary-planted"}


@pytest.mark.parametrize("around", ["{}\r\n", "{}\n\n", " {}", "\t{} \n", "{}"])
async def test_token_file_with_blanks(server_file, around):
    """Blanks and line ends around a token in a file are not of the token."""
    provider, file, token = server_file
    file.write_text(around.format(token))
    assert (await provider.get("name")).field("key").equals("canary-value")


@pytest.fixture
async def server_file(provider_at, tmp_path):
    """A provider that takes its token from a file, that file, and a good token."""
    async with VaultServer(root_token="canary-root") as server:
        server.write_secret("name", {"key": "canary-value"})
        async with provider_at(server.url, token_file=str(tmp_path / "token")) as provider:
            yield provider, tmp_path / "token", "canary-root"


async def test_wrapped_secret_id_opened_by_somebody_else(backend, provider_at):
    """A wrapping token that is used up may mean a theft, and the error says so."""
    login = await backend.approle()
    login["approle_secret_id"] = await wrapped(backend)
    await backend("POST", "sys/wrapping/unwrap", {}, token=login["approle_secret_id"])
    async with provider_at(backend.url, **login, approle_secret_id_wrapped=True) as provider:
        with pytest.raises(AuthenticationError, match="somebody else"):
            await provider.get("name")


async def test_secret_id_file(backend, provider_at, tmp_path):
    """A secret id in a file is read at each login."""
    login = await backend.approle()
    file = tmp_path / "secret-id"
    file.write_text(login.pop("approle_secret_id") + "\n")
    async with provider_at(backend.url, **login, approle_secret_id_file=str(file)) as provider:
        await read(provider)


async def test_jwt(backend, provider_at, tmp_path):
    """A JWT from a file that is read anew at each login."""
    issuer = Issuer()
    await backend.enable("jwt")
    await backend("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [issuer.public_key], "default_role": "app"})
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": "reader"}
    await backend("POST", "auth/jwt/role/app", role)
    file = tmp_path / "jwt"
    file.write_text(issuer.sign(exp=1))
    async with provider_at(backend.url, jwt_file=str(file), jwt_role="app") as provider:
        with pytest.raises(AuthenticationError):
            await provider.get("name")
        file.write_text(issuer.sign())
        provider.tokens._not_before = 0.0
        await read(provider)
    async with provider_at(backend.url, jwt_file=str(file)) as provider:
        await read(provider)


@contextlib.asynccontextmanager
async def cluster(vouched):
    """A Kubernetes API that reviews tokens: it vouches for those in `vouched`."""

    async def review(request):
        spec = (await request.json())["spec"]
        user = {"username": "system:serviceaccount:default:app", "uid": "canary-uid", "groups": []}
        known = spec["token"] in vouched
        status = {"authenticated": known, "user": user if known else {}, "audiences": spec.get("audiences") or []}
        answer = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
        return web.json_response(answer, status=201)

    application = web.Application()
    application.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", review)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


async def test_kubernetes(backend, provider_at, tmp_path):
    """A service account's token, vouched for by the cluster, read anew when the platform rotates it."""
    claims = {
        "iss": "https://kubernetes.default.svc",
        "aud": ["https://kubernetes.default.svc"],
        "sub": "system:serviceaccount:default:app",
        "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "app", "uid": "canary-uid"}},
    }
    issuer, vouched, file = Issuer(), set(), tmp_path / "token"
    async with cluster(vouched) as host:
        await backend.enable("kubernetes", "k8s/canary")
        config = {"kubernetes_host": host, "disable_local_ca_jwt": True, "disable_iss_validation": True}
        await backend(
            "POST", "auth/k8s/canary/config", config | {"kubernetes_ca_cert": trustme.CA().cert_pem.bytes().decode()}
        )
        role = {"bound_service_account_names": "app", "bound_service_account_namespaces": "default"}
        await backend("POST", "auth/k8s/canary/role/app", role | {"token_policies": "reader"})
        settings = {"kubernetes_role": "app", "kubernetes_mount_path": "k8s/canary", "kubernetes_token_file": str(file)}
        async with provider_at(backend.url, **settings) as provider:
            file.write_text(issuer.sign(**claims, jti="canary-old"))
            with pytest.raises(AuthenticationError, match="login"):
                await provider.get("name")
            provider.tokens._not_before = 0.0
            file.write_text(issuer.sign(**claims, jti="canary-new"))
            vouched.add(file.read_text())
            await read(provider)


async def test_missing_jwt_file(backend, provider_at):
    """A credential file that is not there is named."""
    async with provider_at(backend.url, jwt_file="/nowhere/jwt") as provider:
        with pytest.raises(AuthenticationError, match="jwt_file '/nowhere/jwt'"):
            await provider.get("name")


async def test_revoked_token_is_one_login(backend, provider_at):
    """1,000 reads with a token that the server revoked: one login, no failure."""
    async with provider_at(backend.url, **await backend.approle()) as provider:
        await read(provider)
        await backend("POST", "auth/token/revoke", {"token": provider.tokens.current().text})
        await asyncio.gather(*(read(provider) for _ in range(1000)))
        assert provider.tokens.logins == 2


async def test_policy_denial_is_no_login(backend, provider_at):
    """1,000 reads that the policy forbids: no login, and errors that name path and capability."""
    async with provider_at(backend.url, **await backend.approle(token_policies="default")) as provider:
        provider._mount.verified = True
        results = await asyncio.gather(*(provider.get("team/x") for _ in range(1000)), return_exceptions=True)
        assert provider.tokens.logins == 1
    assert {type(result) for result in results} == {AccessDeniedError}
    assert "secret/data/team/x" in str(results[0])
    assert "'read'" in str(results[0])


@pytest.mark.parametrize("pause", [0.0, 5.0, 300.0])
async def test_refusals_that_look_like_the_tokens_fault(provider_at, pause):
    """One path that is refused as if the token were bad, beside one that works: two logins, however it is asked."""
    async with VaultServer(root_token="canary-root") as server:
        backend = Backend(server.url, server.root_token)
        await backend.write()
        now = [0.0]
        login = await backend.approle()
        server.faults.status(403, "permission denied", prefix="/v1/secret/data/other")
        async with provider_at(server.url, clock=lambda: now[0], **login) as provider:
            kinds = []
            for _ in range(30):
                await read(provider)
                with pytest.raises((AccessDeniedError, AuthenticationError)) as caught:
                    await provider.get("other")
                kinds.append(caught.type)
                now[0] += pause
            assert server.count("POST", "/v1/auth/approle/login") == 2
            assert kinds == [AuthenticationError] + [AccessDeniedError] * 29
            assert "namespaces" in str(caught.value)
            await backend("POST", "auth/token/revoke", {"token": provider.tokens.current().text})
            await asyncio.gather(*(read(provider) for _ in range(100)))
            assert server.count("POST", "/v1/auth/approle/login") == 3
            server.faults.clear()
            await backend("POST", "secret/data/other", {"data": {"key": "canary"}})
            await provider.get("other")


@pytest.mark.parametrize("name", ["team/forbidden", "absent"])
async def test_a_refusal_is_a_service_too(backend, provider_at, name):
    """A token that is let in to be told of a missing secret or a policy is no useless one: its end is one login."""
    login = await backend.approle(token_policies="default" if "/" in name else "reader")
    async with provider_at(backend.url, **login, kv_version=2) as provider:
        provider._mount.verified = True
        for count in range(1, 5):
            with pytest.raises((AccessDeniedError, SecretNotFoundError)):
                await provider.get(name)
            assert provider.tokens.logins == count
            await backend("POST", "auth/token/revoke", {"token": provider.tokens.current().text})


@pytest.mark.parametrize("pause", [0.25, 5.0, 70.0])
async def test_tokens_that_nothing_accepts(provider_at, pause):
    """Where every call of every token is refused, each login but the first few waits for the backoff.

    In the second after the first login that may be a node which lags, so it is no error of the credentials' yet.
    """
    async with VaultServer(root_token="canary-root") as server:
        backend = Backend(server.url, server.root_token)
        now = [0.0]
        login = await backend.approle()
        for prefix in ("/v1/secret/", "/v1/auth/token/"):
            server.faults.status(403, "permission denied", prefix=prefix)
        async with provider_at(server.url, clock=lambda: now[0], **login) as provider:
            for _ in range(40):
                with pytest.raises(UnavailableError if now[0] < 1.0 else AuthenticationError):
                    await provider.get("name")
                now[0] += pause
            logins = server.count("POST", "/v1/auth/approle/login")
        assert logins <= {0.25: 7, 5.0: 11, 70.0: 17}[pause]


async def test_given_token(backend, provider_at):
    """A configured token that the server does not know is AuthenticationError."""
    async with provider_at(backend.url, token="canary-unknown") as provider:
        with pytest.raises(AuthenticationError, match="configured token"):
            await provider.get("name")


async def test_token_file(backend, provider_at, tmp_path):
    """A token file is re-read when it changes, and when its token is refused."""
    file = tmp_path / "token"
    create = {"policies": ["reader"], "ttl": "1h", "no_parent": True}
    await backend.enable("approle")
    first, second, third = [
        (await backend("POST", "auth/token/create", create))["auth"]["client_token"] for _ in range(3)
    ]
    file.write_text(first + "\n")
    async with provider_at(backend.url, token_file=str(file)) as provider:
        await read(provider)
        file.write_text(second)
        await read(provider)
        assert provider.tokens._token.text == second
        file.write_text("")
        await read(provider)
        file.write_text(third)
        await backend("POST", "auth/token/revoke", {"token": second})
        await asyncio.gather(*(read(provider) for _ in range(100)))
        await backend("POST", "auth/token/revoke", {"token": third})
        with pytest.raises(AuthenticationError, match="still holds it"):
            await provider.get("name")
        file.write_text(first)
        await read(provider)


@pytest.mark.parametrize("renew", [True, False, None])
async def test_token_file_is_renewed_if_so_configured(backend, provider_at, tmp_path, renew):
    """A renewable token in a file lives on where `renew_token` is set, and its successor as well."""
    file = tmp_path / "token"
    await backend.enable("approle")
    create = {"policies": ["reader"], "ttl": "60s", "no_parent": True}
    tokens = [(await backend("POST", "auth/token/create", create))["auth"]["client_token"] for _ in range(2)]
    async with provider_at(backend.url, token_file=str(file), renew_token=renew) as provider:
        for number, token in enumerate(tokens, start=1):
            file.write_text(token)
            await read(provider)
            assert (provider.tokens._timer is not None) == (renew is True)
            for _ in range(2):  # the look-up of the lease, and the renewal; the timer would start them
                if provider.tokens._timer is not None:
                    await provider.tokens._upkeep.join()
            assert provider.tokens.renewals == (number if renew else 0)
            await read(provider)
        assert provider.tokens.logins == 0


@pytest.mark.parametrize(("renew", "timer"), [(None, True), (True, True), (False, False)])
async def test_given_token_is_renewed(backend, provider_at, renew, timer):
    """A token in the settings is renewed unless `renew_token` is off."""
    async with provider_at(backend.url, token=backend.token, renew_token=renew) as provider:
        await read(provider)
        assert (provider.tokens._timer is not None) == timer


async def test_no_token_file(backend, provider_at, tmp_path):
    """A token file that is not there is named."""
    async with provider_at(backend.url, token_file=str(tmp_path / "none")) as provider:
        with pytest.raises(AuthenticationError, match="token_file"):
            await provider.get("name")


@pytest.mark.parametrize(
    ("content", "why"), [(b"canary" * 11_000, "longer than 65536 bytes"), (b"canary\xff", "not ASCII")]
)
@pytest.mark.parametrize("setting", ["token_file", "jwt_file", "approle_secret_id_file"])
async def test_credential_file_with_too_much(backend, provider_at, tmp_path, setting, content, why):
    """A credential file is never cut: one that is too long, or no text, is refused, and the error says why."""
    file = tmp_path / "file"
    file.write_bytes(content)
    more = {"approle_role_id": "canary-role"} if setting == "approle_secret_id_file" else {}
    async with provider_at(backend.url, **{setting: str(file)}, **more) as provider:
        with pytest.raises(AuthenticationError, match=why) as caught:
            await provider.get("name")
    assert setting in str(caught.value)
    assert "canary" not in str(caught.value).replace(str(file), "").replace("name", "")


@pytest.mark.parametrize("line", ["two words", "canary\n\n", "\ttab", "ünicode", "x" * 9000])
async def test_token_file_with_something_else(backend, provider_at, tmp_path, line):
    """What cannot be a token is not sent as one, and not shown."""
    file = tmp_path / "token"
    file.write_text(line)
    async with provider_at(backend.url, token_file=str(file)) as provider:
        with pytest.raises(AuthenticationError) as caught:
            await provider.get("name")
    assert line.strip() not in str(caught.value)


async def test_renewal(backend, provider_at):
    """A short lease is renewed in the background; reads under load never notice."""
    login = await backend.approle(token_ttl="1s", token_max_ttl="1h")
    async with provider_at(backend.url, **login) as provider:
        await read_for(provider, 1.3)
        assert provider.tokens.logins == 1
        assert provider.tokens.renewals >= 1


async def test_end_of_renewal(backend, provider_at):
    """Where the maximum TTL ends renewal, a new login replaces the token before it expires."""
    login = await backend.approle(token_ttl="1s", token_max_ttl="2s")
    async with provider_at(backend.url, **login) as provider:
        await read_for(provider, 3.2)
        assert provider.tokens.logins >= 2


async def test_batch_token(backend, provider_at):
    """A batch token cannot be renewed: a new login replaces it at two thirds of its life."""
    login = await backend.approle(token_ttl="1s", token_type="batch")
    async with provider_at(backend.url, **login) as provider:
        await read_for(provider, 1.3)
        assert provider.tokens.logins >= 2
        assert provider.tokens.renewals == 0


async def read_for(provider, seconds):
    """Read all the time; no read may fail."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        await asyncio.gather(*(read(provider) for _ in range(8)))
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("revoke", [True, False])
async def test_revoke_on_close(backend, provider_at, revoke):
    """A token of our own is revoked on close where so configured, and only there."""
    async with provider_at(backend.url, **await backend.approle(), revoke_on_close=revoke) as provider:
        await read(provider)
        token = provider.tokens.current().text
    call = backend("GET", "auth/token/lookup-self", token=token)
    if revoke:
        with pytest.raises(ValueError, match="403"):
            await call
    else:
        await call


async def test_revoke_on_close_means_every_token(backend, provider_at):
    """Tokens that a later login replaced are revoked with the last one."""
    tokens = []
    login = await backend.approle(token_ttl="1h", token_type="service")
    async with provider_at(backend.url, **login, revoke_on_close=True) as provider:
        for _ in range(3):
            await read(provider)
            tokens.append(provider.tokens.current().text)
            await provider.tokens._login.join()
        tokens.append(provider.tokens.current().text)
    assert len(set(tokens)) == 4
    for token in tokens:
        with pytest.raises(ValueError, match="403"):
            await backend("GET", "auth/token/lookup-self", token=token)


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b"{}", b'{"data": {}}', b'{"data": {"ttl": null}}'])
async def test_look_up_that_is_a_page(provider_at, body):
    """A page instead of the lease of a given token does not say that it lasts for ever: it is looked up again."""
    async with VaultServer(root_token="canary-root") as server:
        token = server.create_token("root", ttl="1h")
        server.faults.garbage(body, prefix="/v1/auth/token/lookup-self", times=1)
        async with provider_at(server.url, token=token) as provider:
            server.write_secret("name", {"key": "canary-value"})
            await read(provider)
            for lease in (0.0, 3600.0):
                provider.tokens._cancel_timer()
                await provider.tokens._upkeep.join()
                assert provider.tokens._lease.duration == pytest.approx(lease, abs=5)
                assert provider.tokens._timer is not None


async def test_given_token_is_never_revoked(backend, provider_at):
    """A token that was given to us is not ours to revoke."""
    token = (await backend("POST", "auth/token/create", {"no_parent": True}))["auth"]["client_token"]
    async with provider_at(backend.url, token=token, revoke_on_close=True) as provider:
        await read(provider)
    await backend("GET", "auth/token/lookup-self", token=token)


async def test_token_outlives_the_session(backend, provider_at):
    """Closed and opened again, a provider goes on with its token."""
    async with provider_at(backend.url, **await backend.approle()) as provider:
        await read(provider)
        await provider.aclose()
        await provider.open()
        await read(provider)
        assert provider.tokens.logins == 1


async def test_first_caller_goes_away(backend, provider_at):
    """The login goes on when the caller that started it is cancelled."""
    async with provider_at(backend.url, **await backend.approle()) as provider:
        first = asyncio.ensure_future(provider.get("name"))
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(read(provider)) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
        assert provider.tokens.logins == 1


async def test_sealed_server(provider_at):
    """While the server is sealed, logins wait for their backoff; then they work without a restart."""
    async with VaultServer(root_token="canary-root") as server:
        backend = Backend(server.url, server.root_token)
        await backend.write()
        login = await backend.approle()
        server.seal()
        now = [0.0]
        async with provider_at(server.url, clock=lambda: now[0], **login) as provider:
            for _ in range(20):
                with pytest.raises(UnavailableError, match="sealed"):
                    await provider.get("name")
            assert server.count("POST", "/v1/auth/approle/login") == 1
            server.unseal()
            now[0] += 2.0
            await read(provider)


async def test_kv_version_of_a_mount_without_permission(backend, provider_at):
    """A token without any right on the mount may not learn its KV version: that is no access, not an absent secret."""
    login = await backend.approle(token_policies="default")
    async with provider_at(backend.url, **login) as provider:
        with pytest.raises(AccessDeniedError, match="mount 'secret'"):
            await provider.put("name", "canary")


@pytest.mark.parametrize("times", [1, 2])
async def test_a_token_that_a_node_does_not_know_yet(provider_at, times):
    """It is shown again, and then that is transient: no second login, and no error of the credentials'."""
    async with VaultServer(root_token="canary-root") as server:
        backend = Backend(server.url, server.root_token)
        await backend.write()
        login = await backend.approle()
        async with provider_at(server.url, **login, kv_version=2, clock=lambda: 0.0) as provider:
            server.faults.status(403, "permission denied", "invalid token", prefix="/v1/secret/data/", times=times)
            if times > 1:
                with pytest.raises(UnavailableError, match="does not know the token"):
                    await provider.get("name")
            await provider.get("name")
            assert provider.tokens.logins == 1
            assert server.count("GET", "/v1/secret/data/") == times + 1
