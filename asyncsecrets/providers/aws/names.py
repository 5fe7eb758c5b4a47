"""What Secrets Manager can be asked for: names, full and partial ARNs, version ids and stages, write tokens.

The grammars are allowlists and are checked before anything is sent. Source: the Secrets Manager API reference
(CreateSecret ``Name``, GetSecretValue ``SecretId``, ``VersionId`` and ``VersionStage``), and its user guide ("Secrets
managed by other services") for the ``!``, which is in the names of the secrets that a service of AWS makes.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from asyncsecrets.errors import InvalidNameError
from asyncsecrets.references import Reference, fault_of, render

__all__ = [
    "CURRENT",
    "SYSTEM",
    "answers",
    "check_creatable",
    "check_name",
    "elsewhere",
    "is_arn",
    "is_creatable",
    "is_prefix",
    "is_version_id",
    "may_be_same",
    "plain_names",
    "refusal_of",
    "region_of",
    "usable_token",
    "version_of",
]

SYSTEM: Final = "aws_secret_manager"

CURRENT: Final = "AWSCURRENT"
"""The stage of the version that is current."""

_NAME: Final = re.compile(r"(?!!)[A-Za-z0-9/_+=.@!-]{1,512}", re.ASCII)  # in a filter of a list, a first ! is "not"
_ARN: Final = re.compile(
    r"arn:aws[a-z-]{0,20}:secretsmanager:(?P<region>[a-z0-9-]{1,40}):[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]{1,520}",
    re.ASCII,
)
_MANAGED: Final = "!"
_VERSION_ID: Final = re.compile(r"[A-Za-z0-9-]{32,64}", re.ASCII)
_STAGE: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,256}", re.ASCII)
_SUFFIX: Final = 7  # the hyphen and six characters that AWS adds to a name to make an ARN of it
_COLONS: Final = 6  # of an ARN
_RANDOM: Final = re.compile(r"-[A-Za-z0-9]{6}", re.ASCII)


def check_name(name: str) -> None:
    """Raise InvalidNameError unless ``name`` is a secret's name or its full or partial ARN."""
    if (error := refusal_of(name)) is not None:
        raise error


def refusal_of(name: str) -> InvalidNameError | None:
    """What ``check_name`` raises for ``name``, or None."""
    if isinstance(name, str) and (_NAME.fullmatch(name) or _ARN.fullmatch(name)):
        return None
    if not isinstance(name, str):
        return InvalidNameError(f"{SYSTEM}: {fault_of(name)}", provider=SYSTEM)
    remedy = _ecs_remedy(name) or "use 1 to 512 letters, digits and / _ + = . @ - (and !, not first) or an ARN"
    return InvalidNameError(f"{SYSTEM}: {name[:600]!a} cannot name a secret: {remedy}", provider=SYSTEM, name=name)


def _ecs_remedy(name: str) -> str:
    """How to write what a task definition of ECS spells ``ARN:FIELD:STAGE:ID``, or an empty text."""
    arn, *rest = name.rsplit(":", name.count(":") - _COLONS) if name.count(":") > _COLONS else (name,)
    field, stage, version, *more = *rest, "", "", ""
    if not rest or any(more) or not _ARN.fullmatch(arn) or not all(map(_STAGE.fullmatch, filter(None, rest))):
        return ""
    meant = Reference(arn, version=version or stage or None, field=field or None)
    return f"that is how ECS writes a member or version of one; write {render(meant)}"


def check_creatable(name: str) -> None:
    """Raise InvalidNameError for a name under which only AWS itself creates secrets."""
    if _MANAGED in name:
        raise InvalidNameError(
            f"{SYSTEM}: {name!r}: there is no such secret, and names with a '!' are those of secrets that a service of "
            f"AWS creates and manages (RDS, Redshift): use a name without one",
            provider=SYSTEM,
            name=name,
        )


def is_creatable(name: str) -> bool:
    """Whether a secret can be created by this name."""
    return _NAME.fullmatch(name) is not None and _MANAGED not in name


def is_arn(name: str) -> bool:
    """Whether a checked name is an ARN."""
    return ":" in name


def is_prefix(prefix: str) -> bool:
    """Whether any name can start with ``prefix``."""
    return _NAME.fullmatch(prefix) is not None


def region_of(name: str) -> str | None:
    """The region of an ARN, or None."""
    found = _ARN.fullmatch(name)
    return found["region"] if found else None


def elsewhere(name: str, region: str) -> str:
    """What to add to an error about a secret that is not there in ``region``: its ARN may be of another one."""
    its = region_of(name)
    return f": the ARN is of {its}, this source of {region}" if its not in {None, region} else ""


def version_of(version: str | None) -> dict[str, str] | None:
    """The parameters that select ``version``: the current one, an id or a stage. None if no version can be called so.

    The stage of the current version is always sent: without it, what is "current" is left to the server.
    """
    if version is None:
        return {"VersionStage": CURRENT}
    if _VERSION_ID.fullmatch(version):
        return {"VersionId": version}
    return {"VersionStage": version} if _STAGE.fullmatch(version) else None


def is_version_id(version: str) -> bool:
    """Whether a version can have this id."""
    return _VERSION_ID.fullmatch(version) is not None


def answers(name: str, answer: Mapping[str, Any]) -> bool:
    """Whether ``answer`` is about the secret asked for as ``name``: what it says of name and ARN, which have to agree.

    A partial ARN lacks the six random characters, and AWS warns that it can then match a secret of another name.
    """
    plain, arn = answer.get("Name"), answer.get("ARN")
    if plain is not None and arn is not None and not _is_made_of(str(arn).rpartition(":")[2], str(plain)):
        return False
    if not is_arn(name):
        return plain is None or plain == name
    if arn is not None and not is_arn(str(arn)):  # moto gives the name there, in lists of versions
        return _is_made_of(name.rpartition(":")[2], str(arn))
    return arn is None or _is_made_of(str(arn), name)


def _is_made_of(longer: str, name: str) -> bool:
    """Whether ``longer`` is ``name`` or, as the end of an ARN is, that and six random characters."""
    return longer == name or (longer.startswith(name) and _RANDOM.fullmatch(longer, len(name)) is not None)


def may_be_same(name: str, other: str) -> bool:
    """Whether two names, of any spelling, may be one secret's: ``app/db``, its ARN, its ARN without the suffix.

    It errs by saying yes: of a plain name nobody knows the account, and of an ARN's end nobody knows if it is a suffix.
    """
    if name == other:
        return True
    return (is_arn(name) or is_arn(other)) and not plain_names(name).isdisjoint(plain_names(other))


def plain_names(name: str) -> frozenset[str]:
    """The plain names that the secret may have."""
    plain = name.rpartition(":")[2]
    has_suffix = plain != name and plain[-_SUFFIX : -_SUFFIX + 1] == "-"
    return frozenset({plain, plain[:-_SUFFIX]} if has_suffix else {plain})


def usable_token(token: str) -> str:
    """``token`` if it can be a ClientRequestToken (which becomes the version's id), else a new one."""
    return token if _VERSION_ID.fullmatch(token) else str(uuid.uuid4())
