"""Which version of the KV engine a mount has, found out once and only when it matters.

Asked as KV v2, a KV v1 mount calls every secret absent (or forbidden, by a policy made for KV v1) and takes writes in
the wrong place. So before the first write, delete or list, and before the first *absent* or *forbidden* is believed,
the mount itself is asked. A read that finds a KV v2 secret needs no asking.

A mount may be replaced by one of the other version while a program runs. So what was learnt is doubted when a secret
that was found before is absent, and when an answer is of the other version's kind.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ClosedError,
    ConfigError,
    MalformedResponseError,
    ProviderError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.vault.client import VaultClient
from asyncsecrets.providers.vault.documents import data_of
from asyncsecrets.providers.vault.errors import Answer, Call, translate
from asyncsecrets.providers.vault.kv1 import KV1
from asyncsecrets.providers.vault.kv2 import KV2
from asyncsecrets.providers.vault.paths import SYSTEM, Paths
from asyncsecrets.providers.vault.shared import SharedTask

__all__ = ["Mount"]

_MOST_FOUND = 10_000  # names; of more than these a mount that was replaced is noticed by one of these
_UNTOLD_FOR = 1.0  # seconds; so long no refused read asks again what was not told, as a thousand may be refused at once


class Mount:
    """``configured`` is the ``kv_version`` setting. It is checked where the token may ask, and believed where not.

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
        self._asking = SharedTask(self._ask, "asyncsecrets-vault-mount")
        self._failure: AsyncSecretsError | None = None
        self._clock = clock
        self._found: set[str] = set()
        self._untold = False  # the last question was answered, but not with a version
        self._untold_until = float("-inf")

    def found(self, name: str) -> None:
        """Note that ``likely`` found this secret: the mount is of that engine."""
        self.verified = True
        if len(self._found) < _MOST_FOUND:
            self._found.add(name)

    def doubt(self, name: str) -> None:
        """Have the mount asked again if this secret, which is absent now, was found before."""
        if name in self._found:
            self._found.discard(name)
            self.verified = False

    async def engine(self, name: str | None = None) -> KV1 | KV2:
        """The engine, for sure. Raises ConfigError if the mount is no KV mount, or not the configured version.

        ``name`` is the secret that it is wanted for: errors name it.
        """
        if not self.verified:
            await self._asking.join()
        if not self.verified:
            raise ClosedError("the Vault provider is closed") if self._failure is None else _wanted(self._failure, name)
        return self.likely

    async def instead_of(self, engine: KV1 | KV2, refusal: ProviderError) -> KV1 | KV2:
        """The engine to read with after ``engine``, which was likely but not verified, met a refusal of the server's.

        Raises ``refusal`` where the mount is of that engine, and, if it is an AccessDeniedError, where the mount does
        not tell; else as ``engine``.
        """
        denied = isinstance(refusal, AccessDeniedError)
        if denied and self._clock() < self._untold_until:
            raise refusal
        try:
            found = await self.engine(refusal.name)
        except AsyncSecretsError:
            if not (denied and self._untold):
                raise
        else:
            if found is not engine:
                return found
        raise refusal

    async def versioned(self, name: str, operation: str) -> KV2:
        """The engine where only KV v2 will do. Raises UnsupportedOperationError."""
        engine = await self.engine(name)
        if isinstance(engine, KV2):
            return engine
        raise UnsupportedOperationError(
            f"{SYSTEM}: mount {self._paths.mount!r} is KV version 1, which has no {operation}"
        )

    async def _ask(self) -> None:
        self._failure, self._untold, self._untold_until = None, False, float("-inf")
        call = Call("mount", "GET", self._paths.mount_info())
        try:
            answer = await self._client.call(call)
        except AsyncSecretsError as error:  # of the login, or of the network: it says itself what is wrong
            self._failure = error
            return
        try:
            self._settle(*self._told(call, answer))
        except AccessDeniedError:
            # Only a token that may not ask has the setting believed. Any other answer is asked for again.
            self.verified = self._configured is not None
            if not self.verified:
                self._not_told(await self._why_denied())
        except (ConfigError, MalformedResponseError):
            self._not_told(self._unknown())
        except AsyncSecretsError as error:
            self._failure = error

    def _not_told(self, failure: AsyncSecretsError) -> None:
        self._failure, self._untold = failure, True
        self._untold_until = self._clock() + _UNTOLD_FOR

    def _settle(self, version: int | None, path: str) -> None:
        mount = self._paths.mount
        if version is None:
            self._failure = ConfigError(f"mount {mount!r} is not a KV mount; check mount_name")
        elif version == 2 and path != mount:
            # With `secret/data` for `secret` everything would go one level too deep, and nothing be where it is.
            self._failure = ConfigError(
                f"{mount!r} is a path within the mount {path!r}: set mount_name to that, and path_prefix to what the "
                f"names of secrets begin with (the API's data/ is no part of either)"
            )
        elif self._configured not in {None, version}:
            self._failure = ConfigError(
                f"mount {mount!r} is KV version {version}, but kv_version says {self._configured}"
            )
        else:
            self.likely = self._engines[version]
            self.verified = True

    def _unknown(self) -> AsyncSecretsError:
        remedy = "check addr, namespace and mount_name" + ("" if self._configured else ", or set kv_version")
        return ConfigError(f"the server does not tell the KV version of mount {self._paths.mount!r}: {remedy}")

    async def _why_denied(self) -> AsyncSecretsError:
        """Whether the token has no right on the mount, or the mount is missing: the question tells the two not apart.

        Reading below it does, where the policy lets the token so far: to what is no mount there is no route.
        """
        mount = self._paths.mount
        call = Call("list", "GET", self._paths.folder("", "", "list=true&limit=1"))
        try:
            answer = await self._client.call(call)
        except AsyncSecretsError as error:
            return error
        if isinstance(translate(call, answer), AccessDeniedError):
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
        if data.get("type") not in {"kv", "generic"}:
            return None, ""
        options, path = data.get("options"), data.get("path")
        version = 2 if isinstance(options, dict) and options.get("version") == "2" else 1
        return version, path.strip("/") if isinstance(path, str) else self._paths.mount

    async def aclose(self) -> None:
        """End a question under way."""
        await self._asking.cancel()

    def abandon(self) -> None:
        """Forget a question on a loop that is gone."""
        self._asking.forget()


def _wanted(failure: AsyncSecretsError, name: str | None) -> AsyncSecretsError:
    """The failure for one of those who waited."""
    error = copy.copy(failure)
    if isinstance(error, ProviderError) and error.name is None and name is not None:
        error.name = name
        error.message += f" (wanted for {name!r})"
    return error
