"""``sys/health``, ``sys/seal-status``, ``sys/leader``, ``sys/seal`` and ``sys/unseal``."""

from __future__ import annotations

import secrets
from typing import Any

from asyncsecrets.testing.vault_server._model import Refused, Reply, no_content
from asyncsecrets.testing.vault_server.state import VERSION, Context, Handler

CLUSTER = "asyncsecrets-fake"


def health(context: Context) -> Reply:
    """200 active, 429 standby, 503 sealed; each can be asked to be another code."""
    call, standby = context.call, context.state.standby_for is not None
    replication = "unknown" if context.state.sealed or standby else "disabled"
    body: dict[str, Any] = {
        "initialized": True,
        "sealed": context.state.sealed,
        "standby": context.state.sealed or standby,
        "replication_performance_mode": replication,
        "replication_dr_mode": replication,
        "server_time_utc": int(call.now),
        "version": VERSION,
    }
    if not context.state.sealed:
        body |= {"cluster_name": CLUSTER, "cluster_id": context.state.cluster_id}
    if context.state.sealed:
        status = call.number("sealedcode", 503)
    elif standby and not call.flag("standbyok"):
        status = call.number("standbycode", 429)
    else:
        status = call.number("activecode", 200)
    return Reply(status, body)


def seal_status(context: Context) -> Reply:
    body: dict[str, Any] = {
        "type": "shamir",
        "initialized": True,
        "sealed": context.state.sealed,
        "t": 1,
        "n": 1,
        "progress": 0,
        "nonce": "",
        "recovery_seal": False,
        "version": VERSION,
        "commit_date": "",
        "migration": False,
        "storage_type": "inmem",
    }
    if not context.state.sealed:
        body |= {"cluster_name": CLUSTER, "cluster_id": context.state.cluster_id}
    return Reply(200, body)


def leader(context: Context) -> Reply:
    if context.state.standby_for is None:
        return Reply(200, {"ha_enabled": False})
    return Reply(200, {"ha_enabled": True, "is_self": False, "leader_address": context.state.standby_for})


def init_status(_context: Context) -> Reply:
    return Reply(200, {"initialized": True})


def seal(context: Context) -> Reply:
    context.state.sealed = True
    return no_content()


def unseal(context: Context) -> Reply:
    """Take the one key share that there is."""
    call, state = context.call, context.state
    if not call.flag("reset"):
        key = call.text("key")
        if not key:
            raise Refused(400, "'key' must be specified in request body as JSON, or 'reset' set to true")
        if state.sealed and not secrets.compare_digest(key.encode(), state.unseal_key.encode()):
            raise Refused(400, "invalid key: it is not the one that this server was made with")
        state.sealed = False
    return seal_status(context)


ROUTES: dict[str, dict[str, Handler]] = {
    "health": {"read": health},
    "seal-status": {"read": seal_status},
    "leader": {"read": leader},
    "init": {"read": init_status},
    "seal": {"update": seal},
    "unseal": {"update": unseal},
}
