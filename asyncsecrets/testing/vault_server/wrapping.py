"""Response wrapping: an answer put behind a token that works once."""

from __future__ import annotations

import uuid

from asyncsecrets.testing.vault_server._model import Refused, Reply, envelope, timestamp
from asyncsecrets.testing.vault_server.state import Context, Handler
from asyncsecrets.testing.vault_server.tokens import Token


def wrap(context: Context) -> Reply:
    """The body itself, to be wrapped on the way out."""
    if not context.call.wrap_ttl:
        raise Refused(400, "endpoint requires response wrapping to be used")
    return envelope(context.call.body)


def unwrap(context: Context) -> Reply:
    """The wrapped answer; the token ends with it."""
    token = _wrapping_token(context)
    context.state.tokens.revoke(token)
    return Reply(200, {**(token.wrapped or {}), "request_id": str(uuid.uuid4())})


def lookup(context: Context) -> Reply:
    """What can be known of a wrapping token without using it up."""
    token = _wrapping_token(context)
    told = {"creation_path": token.path, "creation_time": timestamp(token.created), "creation_ttl": token.ttl}
    return envelope(told)


def rewrap(context: Context) -> Reply:
    """The same answer behind a new token, for as long as it had at first."""
    token = _wrapping_token(context)
    context.state.tokens.revoke(token)
    return context.state.wrapped(token.path, token.wrapped or {}, token.ttl, context.call.now)


def _wrapping_token(context: Context) -> Token:
    """The token named in the body, or else the one that asks."""
    if not (context.call.text("token") or context.call.token):
        raise Refused(403, "error validating wrapping token: token is empty")
    try:
        token = context.state.tokens.find(context.call.text("token") or context.call.token, context.call.now)
    except Refused:
        token = None
    if token is None or token.wrapped is None:
        raise Refused(400, "wrapping token is not valid or does not exist")
    return token


ROUTES: dict[str, dict[str, Handler]] = {
    "wrapping/wrap": {"update": wrap, "read": wrap},
    "wrapping/unwrap": {"update": unwrap},
    "wrapping/lookup": {"update": lookup, "read": lookup},
    "wrapping/rewrap": {"update": rewrap},
}
