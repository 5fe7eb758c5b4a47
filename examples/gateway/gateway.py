"""A gateway that issues, checks, rotates and revokes the keys of its callers, and keeps them at Vault.

VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... uvicorn gateway:app
curl -X POST localhost:8000/keys -H "Authorization: Bearer $GATEWAY_MASTER_KEY" --json '{"alias": "team-a"}'
curl localhost:8000/check -H "Authorization: Bearer $KEY"
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from asyncsecrets import Secret, VirtualKeys
from asyncsecrets.errors import (
    ConflictError,
    InvalidNameError,
    PartialRotationError,
    ProviderError,
    SecretNotFoundError,
)
from asyncsecrets.integrations.fastapi import lifespan, readyz, secret, unavailable
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.virtual_keys import Match

PATIENCE = 120  # seconds after which a rotation that was broken off can be made again

secrets = AppSecrets(required=["GATEWAY_MASTER_KEY"])


@asynccontextmanager
async def own(_: FastAPI) -> AsyncIterator[dict[str, VirtualKeys]]:
    """Read every key before the first request comes."""
    keys = VirtualKeys(secrets.client, patience=PATIENCE)
    await keys.warm_up()
    yield {"keys": keys}


app = FastAPI(lifespan=lifespan(secrets, own))
app.add_api_route("/readyz", readyz(secrets), include_in_schema=False)
app.add_exception_handler(ProviderError, unavailable)  # whatever the store says, but for what follows


def keys_of(request: Request) -> VirtualKeys:
    """The keys, as ``own`` has made them."""
    keys: VirtualKeys = request.state.keys
    return keys


Keys = Annotated[VirtualKeys, Depends(keys_of)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


def refusal() -> HTTPException:
    """The one answer to whoever has no key, or a wrong one."""
    return HTTPException(401, "a valid key is needed", {"WWW-Authenticate": "Bearer"})


async def caller(keys: Keys, bearer: Bearer) -> Match:
    """Whose key a request has. From memory; compared in constant time."""
    match = None if bearer is None else await keys.verify(bearer.credentials)
    if match is None:
        raise refusal()
    return match


async def administrator(master: Annotated[Secret, secret("GATEWAY_MASTER_KEY", Secret)], bearer: Bearer) -> None:
    """Let in whoever has the master key. Compared in constant time."""
    if bearer is None or not master.equals(bearer.credentials):
        raise refusal()


Caller = Annotated[Match, Depends(caller)]
ADMINISTRATOR = [Depends(administrator)]


class Named(BaseModel):
    """Whose key it is about: any text."""

    model_config = ConfigDict(extra="forbid")
    alias: str = Field(min_length=1, max_length=200)


class Rotation(Named):
    """For how many seconds the key before is accepted too; 0 for one that was leaked."""

    grace: float = Field(default=3_600, ge=0, le=30 * 86_400, strict=True)


class Issued(BaseModel):
    """A key: shown this once."""

    alias: str
    key: str
    previous_until: float | None = Field(default=None, description="Until when the key before is accepted: Unix time.")


class Checked(BaseModel):
    """Whose key it is. ``until``: when it ends, for one that was rotated; Unix time."""

    alias: str
    until: float | None


@app.post("/keys", status_code=201, dependencies=ADMINISTRATOR)
async def issue(named: Named, keys: Keys, response: Response) -> Issued:
    """Make a key. 409 if the alias has one."""
    key = await keys.create(named.alias)
    response.headers["Cache-Control"] = "no-store"
    return Issued(alias=named.alias, key=key.reveal())


@app.get("/keys", dependencies=ADMINISTRATOR)
async def issued(keys: Keys) -> list[str]:
    """The aliases that have a key."""
    return await keys.list()


@app.post("/keys/rotate", dependencies=ADMINISTRATOR)
async def rotate(rotation: Rotation, keys: Keys, response: Response) -> Issued:
    """Put a new key in the place of one. 404 if the alias has none."""
    try:
        rotated = await keys.rotate(rotation.alias, grace=rotation.grace)
    except SecretNotFoundError:
        raise HTTPException(404, "the alias has no key") from None
    response.headers["Cache-Control"] = "no-store"
    return Issued(alias=rotated.alias, key=rotated.key.reveal(), previous_until=rotated.until)


@app.post("/keys/revoke", status_code=204, dependencies=ADMINISTRATOR)
async def revoke(named: Named, keys: Keys) -> None:
    """Have a key accepted no more, nor those before it. Harmless where there is none."""
    await keys.delete(named.alias)


@app.get("/check")
async def check(match: Caller, response: Response) -> Checked:
    """Whose key the request has: for a proxy in front of a service, which asks here first."""
    response.headers["X-Key-Alias"] = quote(match.alias, safe="")
    return Checked(alias=match.alias, until=match.until)


@app.exception_handler(ConflictError)
async def has_a_key(_: Request, __: Exception) -> JSONResponse:
    """Answer for an alias that has one, or whose key somebody else is changing."""
    return JSONResponse({"detail": "the alias has a key already, or it is being changed; look again"}, 409)


@app.exception_handler(InvalidNameError)
async def cannot_be_an_alias(_: Request, __: Exception) -> JSONResponse:
    """Answer for an alias that the store cannot have, even escaped."""
    return JSONResponse({"detail": "this cannot be an alias: it is too long, or no text"}, 422)


@app.exception_handler(PartialRotationError)
async def stopped_half_way(_: Request, __: Exception) -> JSONResponse:
    """Answer for a rotation that was broken off. The same request finishes it."""
    return JSONResponse({"detail": "Service Unavailable"}, 503, {"Retry-After": str(PATIENCE)})


@app.exception_handler(RequestValidationError)
async def has_another_shape(_: Request, error: Exception) -> JSONResponse:
    """Answer for a body of another shape, without repeating it: there may be a key in it."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": [{"where": place_of(fault), "what": fault["msg"]} for fault in faults]}, 422)


def place_of(fault: dict[str, Any]) -> list[str | int]:
    """Where it is. What has a name of the caller's own is told by where that stands."""
    place = [*fault["loc"]]
    return place[:1] if fault["type"] == "extra_forbidden" else place
