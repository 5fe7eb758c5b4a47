"""Which .env entries are taken for secrets."""

from __future__ import annotations

import pytest

from asyncsecrets.cli.findings import look_like_secrets


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "canary"),
        ("OPENAI_API_KEY", "canary"),
        ("litellm_master_key", "canary"),
        ("GITHUB_TOKEN", "canary"),
        ("SENTRY_DSN", "canary"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("DATABASE_URL", "postgres://user:canary@host/db"),
        ("REDIS", "redis://:canary@host"),
        ("LLM", "sk-canary0123456789abcdef"),
        ("PEM", "-----BEGIN RSA PRIVATE KEY-----\ncanary"),
    ],
)
def test_secrets(name: str, value: str) -> None:
    """By the name, or by the shape of the value."""
    assert look_like_secrets({"PORT": "1", name: value}) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "8080"),
        ("LOG_LEVEL", "debug"),
        ("TOKEN_TTL", "300"),
        ("TLS_KEY_FILE", "/etc/key.pem"),
        ("SECRET_NAME", "team/db"),
        ("VAULT_ADDR", "https://vault.example.com:8200"),
        ("API_KEY", ""),
        ("API_KEY", "os.environ/REAL"),
        ("DATABASE_URL", "postgres://host/db"),
        ("KEYBOARD", "us"),
    ],
)
def test_others(name: str, value: str) -> None:
    """Settings, and what is about a secret, are none; nor is an empty value or a reference."""
    assert look_like_secrets({name: value}) == []
