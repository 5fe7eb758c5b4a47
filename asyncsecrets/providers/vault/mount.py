"""Which version of the KV engine a mount has, found out once and only when it matters.

Asked as KV v2, a KV v1 mount calls every secret absent (or forbidden, by a policy made for KV v1) and takes writes in
the wrong place. So before the first write, delete or list, and before the first *absent* or *forbidden* is believed,
the mount itself is asked. A read that finds a KV v2 secret needs no asking. Where the mount may not be asked, a read at
the path of KV v1 tells: KV v2 says that the path is none of its own.

What stands in for Vault may not have the question at all. Then the setting is believed; without one, a name that is
absent at the paths of both versions is absent, and nothing is written before a secret was found.

A mount may be replaced by one of the other version while a program runs. So what was learnt is doubted when a secret
that was found before is absent, when an answer is of the other version's kind, and after a while. One question settles
all doubts that came from calls begun before it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ConfigError,
    MalformedResponseError,
    ProviderError,
    SecretNotFoundError,
    TransientError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.vault.calls import wanted_for
from asyncsecrets.providers.vault.client import VaultClient
from asyncsecrets.providers.vault.documents import data_of, malformed
from asyncsecrets.providers.vault.errors import Answer, Call, document_of, errors_in, translate
from asyncsecrets.providers.vault.kv1 import KV1
from asyncsecrets.providers.vault.kv2 import KV2
from asyncsecrets.providers.vault.paths import SYSTEM, Paths
from asyncsecrets.providers.vault.shared import SharedTask

__all__ = ["BELIEVED_FOR", "Mount"]

_MOST_FOUND = 10_000  # names; of more than these a mount that was replaced is noticed by one of these
# Seconds that one answer stands for: to refused reads, when the mount does not tell, as a thousand may be refused at
# once; and to secrets that are gone, when it did tell, as a thousand may be deleted at once.
_AT_ONCE = 3.0
BELIEVED_FOR = 60.0
"""Seconds, after which the mount is asked again before it is written to, or is believed to lack an unknown name."""
# Paths of KV v2 itself, at which a read does not tell the versions apart.
_OWN_OF_VERSION_2 = frozenset({"config", "data", "delete", "destroy", "metadata", "subkeys", "undelete"})


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a question led to: an engine, or a failure; ``untold``: it was answered, but not with a version.

    ``unheard``: the server does not have the question.
    """

    number: int
    outcome: KV1 | KV2 | AsyncSecretsError
    untold: bool = False
    unheard: bool = False

    def engine(self, name: str | None) -> KV1 | KV2:
        """The engine. Raises the failure, for one of those who waited."""
        if not isinstance(self.outcome, AsyncSecretsError):
            return self.outcome
        error = copy.copy(self.outcome)
        if isinstance(error, ProviderError) and error.name is None and name is not None:
            error.name = name
            error.message = wanted_for(error.message, name)
        raise error


class Mount:
    """``configured`` is the ``kv_version`` setting. It is checked where the mount tells, and believed where not.

    ``clock`` is in monotonic seconds.
    """

    def __init__(
        self,
        client: VaultClient,
        paths: Paths,
        kv1: KV1,
        kv2: KV2,
        configured: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._paths = paths
        self._configured = configured
        self._engines: dict[int, KV1 | KV2] = {1: kv1, 2: kv2}
        self.likely: KV1 | KV2 = self._engines[configured or 2]
        self.verified = False
        self.questions = 0
        """How many have been asked: what a call notes when it begins, to tell which questions came after it."""
        self._asking: SharedTask[_Verdict] = SharedTask(self._ask, "asyncsecrets-vault-mount")
        self._wanted_for: str | None = None
        self._clock = clock
        self._learnt = clock()
        self._answered = 0  # the number of the last question that was answered with a version
        self._found: set[str] = set()
        self._proven = False  # `likely` has been known for sure, although it may be doubted now
        self._doubted = False
        self._untold_until = self._settled_until = float("-inf")

    def found(self, name: str) -> None:
        """Note that ``likely`` found this secret: the mount is of that engine."""
        self.verified = True
        if len(self._found) < _MOST_FOUND:
            self._found.add(name)

    def doubts(self, name: str, since: int) -> bool:
        """Whether the mount is to be asked before it is believed that ``name`` is absent.

        A secret that was found before tells of a mount that was replaced; any other one, only after a while.
        ``since`` is what ``questions`` was when the call began.
        """
        if not self.verified:
            return True
        if self._answered > since:
            self._found.discard(name)
            return False
        now = self._clock()
        if now < self._settled_until or (name not in self._found and now - self._learnt <= BELIEVED_FOR):
            return False
        self._found.discard(name)
        self.verified, self._proven, self._doubted = False, True, True
        return True

    async def engine(self, name: str | None = None, *, believed_for: float = BELIEVED_FOR) -> KV1 | KV2:
        """The engine, for sure. Raises ConfigError if the mount is no KV mount, or not the configured version.

        ``name`` is the secret that it is wanted for: errors name it. ``believed_for``: the seconds for which an answer
        of the mount stands.
        """
        if self.verified and self._clock() - self._learnt <= believed_for:
            return self.likely
        return (await self._asked(0, name)).engine(name)

    async def engine_now(self, since: int, name: str | None = None) -> KV1 | KV2:
        """The engine, after an answer that blames the version of the mount, to a call that began at ``since``."""
        if self.verified and self._answered > since:
            return self.likely
        return (await self._asked(since, name)).engine(name)

    async def instead_of(self, engine: KV1 | KV2, refusal: ProviderError, since: int) -> KV1 | KV2:
        """The engine to read with after ``engine``, which was likely, met a refusal of the server's.

        Raises ``refusal`` where the mount is of that engine, and, if it is no SecretNotFoundError, where the mount does
        not tell; else as ``engine``.
        """
        telling = not isinstance(refusal, SecretNotFoundError)
        if telling and self._clock() < self._untold_until:
            raise refusal
        verdict = await self._asked(since, refusal.name)
        if verdict.outcome is engine or (verdict.untold and telling):
            raise refusal
        if verdict.unheard and refusal.name is not None:
            if not await self._is_at_version_1(refusal.name):
                raise refusal
            self.likely, self.verified, self._proven, self._learnt = self._engines[1], True, True, self._clock()
            return self.likely
        return verdict.engine(refusal.name)

    # -- asking

    async def _asked(self, since: int, name: str | None) -> _Verdict:
        """The outcome of a question that was begun after ``since``: one under way may have been answered before."""
        self._wanted_for = name
        verdict = await self._asking.join()
        return verdict if verdict.number > since else await self._asking.join()

    async def _ask(self) -> _Verdict:
        self.questions += 1
        number = self.questions
        self._proven, doubted = self._proven or self.verified, self._doubted
        self._untold_until = float("-inf")
        verdict = await self._verdict(number, self._wanted_for)
        if verdict.untold and self._proven:  # nothing says that it is not what it was
            verdict = _Verdict(number, self.likely)
        now = self._clock()
        if not isinstance(verdict.outcome, AsyncSecretsError):
            self.likely, self.verified, self._proven = verdict.outcome, True, True
            self._learnt, self._answered = now, number
            self._doubted, self._settled_until = False, now + _AT_ONCE if doubted else self._settled_until
        elif verdict.untold:
            self._untold_until = now + _AT_ONCE
        return verdict

    async def _verdict(self, number: int, name: str | None) -> _Verdict:
        call = Call("mount", "GET", self._paths.mount_info())
        try:
            answer = await self._client.call(call)
        except AsyncSecretsError as error:  # of the login, or of the network: it says itself what is wrong
            return _Verdict(number, error.with_traceback(None))
        try:
            return self._settled(number, *self._told(call, answer))
        except AccessDeniedError:
            return await self._not_told(number, name, denied=True)
        except AsyncSecretsError as error:
            failure = error.with_traceback(None)
        if isinstance(failure, ConfigError) and errors_in(answer.body):  # of a Vault before 0.10, which has KV v1 only
            return await self._not_told(number, name, denied=False)
        if self._is_unheard(failure, answer):
            return self._unheard(number)
        is_nonsense = isinstance(failure, MalformedResponseError)
        return _Verdict(number, self._unknown() if is_nonsense else failure, untold=is_nonsense)

    def _is_unheard(self, failure: AsyncSecretsError, answer: Answer) -> bool:
        """Whether a server that answers so has no such question: not as Vault says it, nor as a mount of its own."""
        if isinstance(failure, TransientError):  # some stand-ins break at what they do not know; so does a server
            return self._configured is not None and answer.status == 500 and errors_in(answer.body) is None
        if isinstance(failure, MalformedResponseError):
            return not isinstance((document_of(answer.body) or {}).get("data"), dict)
        return isinstance(failure, ConfigError | SecretNotFoundError | UnsupportedOperationError)

    async def _not_told(self, number: int, name: str | None, *, denied: bool) -> _Verdict:
        version, failure = await self._look(name)
        if version is not None:
            return self._settled(number, version, self._paths.mount)
        if not denied:
            return self._unheard(number)
        if self._configured is not None:
            return _Verdict(number, self._engines[self._configured])
        return _Verdict(number, failure if failure is not None else self._unknown(), untold=True)

    def _unheard(self, number: int) -> _Verdict:
        if self._configured is not None:
            return _Verdict(number, self._engines[self._configured])
        return _Verdict(number, self._unknown(), untold=True, unheard=True)

    def _settled(self, number: int, version: int | None, path: str) -> _Verdict:
        mount = self._paths.mount
        if version is None:
            failure = ConfigError(f"mount {mount!r} is not a KV mount; check mount_name")
        elif version == 2 and path != mount:
            # With `secret/data` for `secret` everything would go one level too deep, and nothing be where it is.
            failure = ConfigError(
                f"{mount!r} is a path within the mount {path!r}: set mount_name to that, and path_prefix to what the "
                f"names of secrets begin with (the API's data/ is no part of either)"
            )
        elif self._configured not in {None, version}:
            failure = ConfigError(f"mount {mount!r} is KV version {version}, but kv_version says {self._configured}")
        else:
            return _Verdict(number, self._engines[version])
        self.verified = self._proven = False
        return _Verdict(number, failure)

    def _unknown(self) -> AsyncSecretsError:
        remedy = "check addr, namespace and mount_name" + ("" if self._configured else ", or set kv_version")
        return ConfigError(f"the server does not tell the KV version of mount {self._paths.mount!r}: {remedy}")

    async def _look(self, name: str | None) -> tuple[int | None, AsyncSecretsError | None]:
        """The version by what lies below the mount, or why that does not tell it either.

        Reading at a path of KV v1 tells, where the policy lets the token so far; and to what is no mount there is no
        route, which the refused question does not tell apart from a token without rights.
        """
        calls = [Call("list", "GET", self._paths.folder("", "", "list=true&limit=1"))]
        if name is not None and not self._is_own_of_version_2(name):
            calls.insert(0, Call("mount", "GET", self._paths.secret(name, "")))
        for call in calls:
            try:
                answer = await self._client.call(call)
            except AsyncSecretsError as error:
                return None, error.with_traceback(None)
            if (version := _version_by(answer)) is not None:
                return version, None
        return None, self._why_denied(translate(call, answer))

    async def _is_at_version_1(self, name: str) -> bool:
        """Whether there is a secret at the path that this name has in KV v1. Raises what a call raises."""
        if self._is_own_of_version_2(name):
            return False
        answer = await self._client.call(Call("mount", "GET", self._paths.secret(name, "")))
        return answer.status == 200 and _version_by(answer) == 1

    def _is_own_of_version_2(self, name: str) -> bool:
        return f"{self._paths.prefix}/{name}".strip("/").partition("/")[0] in _OWN_OF_VERSION_2

    def _why_denied(self, refusal: AsyncSecretsError) -> AsyncSecretsError:
        mount = self._paths.mount
        if isinstance(refusal, AccessDeniedError):
            return AccessDeniedError(
                f"{SYSTEM}: the token's policy allows nothing in mount {mount!r}, or there is no such mount: check the "
                f"policy, mount_name and namespace",
                provider=SYSTEM,
            )
        return ConfigError(
            f"mount {mount!r} does not exist, or this token may not learn its KV version: check mount_name and "
            f"namespace, or set kv_version to 2 (or 1)"
        )

    def _told(self, call: Call, answer: Answer) -> tuple[int | None, str]:
        """The KV version, None for another engine, and the path of the mount as the server has it."""
        if answer.status != 200:
            raise translate(call, answer)
        data = data_of(call, answer)
        if not isinstance(data.get("type"), str):
            raise malformed(call, "the answer is not about a mount")
        if data["type"] not in {"kv", "generic"}:
            return None, ""
        options, path = data.get("options"), data.get("path")
        version = 2 if isinstance(options, dict) and options.get("version") == "2" else 1
        its = path.strip("/") if isinstance(path, str) else self._paths.mount
        if not f"{self._paths.mount}/".startswith(f"{its}/"):
            raise malformed(call, "the answer is about another mount")
        return version, its

    async def aclose(self) -> None:
        """End a question under way."""
        await self._asking.cancel()

    def abandon(self) -> None:
        """Forget a question on a loop that is gone."""
        self._asking.forget()


def _version_by(answer: Answer) -> int | None:
    """The version of a mount that answers so at a path of KV v1, or None where that does not tell."""
    document = document_of(answer.body) or {}
    if answer.status == 404 and errors_in(answer.body) == []:
        return 1
    if answer.status == 404 and any("versioned" in str(warning) for warning in document.get("warnings") or ()):
        return 2
    data = document.get("data")
    found = isinstance(data, dict) and (document.get("lease_duration") or isinstance(data.get("keys"), list))
    return 1 if answer.status == 200 and found else None
