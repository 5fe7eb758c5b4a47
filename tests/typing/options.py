"""The options of a client: each is typed, and a typo is found. An ignore that is not needed is an error of its own."""

from __future__ import annotations

from typing import assert_type

from asyncsecrets import RetryPolicy, SecretsClient
from asyncsecrets.config import Config
from asyncsecrets.providers.memory import MemoryProvider

PROVIDER = MemoryProvider({})
POLICY = RetryPolicy(attempts=5, deadline=20.0, backoff=(0.2, 5.0))

assert_type(SecretsClient.from_config("config.yaml", retry=POLICY, environ={}), SecretsClient)
assert_type(SecretsClient.from_config({}, providers={"default": PROVIDER}), SecretsClient)
assert_type(SecretsClient.from_provider(PROVIDER, refresh_interval=60, retry=POLICY), SecretsClient)
assert_type(SecretsClient.from_environment(wall_clock=lambda: 0.0), SecretsClient)

SecretsClient(Config(sources={}), rety=POLICY)  # type: ignore[call-arg]
SecretsClient.from_config("config.yaml", rety=POLICY)  # type: ignore[call-arg]
SecretsClient.from_config("config.yaml", retry=3)  # type: ignore[arg-type]
SecretsClient.from_config("config.yaml", refresh_interval=60)  # type: ignore[call-arg]
SecretsClient.from_provider(PROVIDER, refresh_intervall=60)  # type: ignore[call-arg]
SecretsClient.from_provider(PROVIDER, providers={})  # type: ignore[call-arg]
SecretsClient.from_provider(PROVIDER, access_mode="readonly")  # type: ignore[arg-type]
SecretsClient.from_environment(environment={})  # type: ignore[call-arg]
RetryPolicy(tries=3)  # type: ignore[call-arg]
