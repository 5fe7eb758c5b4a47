"""The ``asyncsecrets`` command, one module per command. It holds no logic of its own: it asks SecretsClient."""

from asyncsecrets.cli.app import main

__all__ = ["main"]
