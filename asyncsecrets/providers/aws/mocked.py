"""moto's ``mock_aws()`` in this process: what it mocks it answers, and nothing is sent to the real AWS meanwhile.

moto sits in botocore, where a request that was signed is handed on to be sent. Our requests are sent by ourselves, so
moto is asked here. It is never imported: where it is not loaded already, nobody mocks anything.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from asyncsecrets.errors import ConfigError

__all__ = ["answer_of", "detach", "is_active"]

_AWS: Final = re.compile(r"https?://[^/]+\.(?:amazonaws\.[a-z.]+|api\.aws|c2s\.[a-z.]+|sc2s\.[a-z.]+)(?::\d+)?/.*")
_UNKNOWN: Final = "it does not know this address"
_REMEDY: Final = "start its server instead (moto_server, or ThreadedMotoServer) and set AWS_ENDPOINT_URL to its address"


def is_active() -> bool:
    """Whether somebody mocks AWS at this moment."""
    return bool(getattr(_stubber(), "enabled", False))


def answer_of(request: Any) -> Any:
    """moto's answer to a signed request, as botocore's sessions give one; None where it has to be sent.

    It has to where nobody mocks, where it goes to an address that is not AWS's, and where moto is told to let it pass.
    Raises ConfigError where moto mocks AWS and has no answer for this.
    """
    if not is_active():
        return None
    stubber = _stubber()
    answer, problem = None, ""
    try:
        answer = stubber("before-send", request)
    except Exception as error:  # noqa: BLE001  # whatever moto has no answer to, in classes of its own
        problem = type(error).__name__
    else:
        problem = _UNKNOWN if _is_unknown(answer, request.url) else ""
    if problem:
        raise ConfigError(f"moto's mock_aws() is active and cannot answer, so nothing was sent ({problem}): {_REMEDY}")
    return answer


def _is_unknown(answer: Any, url: str) -> bool:
    if answer is None:
        return _AWS.fullmatch(url) is not None and not _lets_pass()
    return answer.status_code == 404 and bool(answer.content == b"Not yet implemented")


def detach(session: Any) -> None:
    """Have moto asked here only: as a handler of botocore's ``session`` too, it would carry out each request twice."""
    if (stubber := _stubber()) is not None:
        session.unregister("before-send", stubber)


def _stubber() -> Any:
    return getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None)


def _lets_pass() -> bool:
    """Whether whoever mocks said that some requests are to reach the real AWS (``passthrough``)."""
    config = getattr(sys.modules.get("moto.core.config"), "default_user_config", {})
    passing = config.get("core", {}).get("passthrough", {})
    return bool(passing.get("urls") or passing.get("services"))
