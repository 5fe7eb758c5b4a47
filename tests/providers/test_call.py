"""What errors say about a call, and which calls may have changed something although nobody answered."""

from __future__ import annotations

import pytest

from asyncsecrets.errors import ConfigError, SecretNotFoundError, UnavailableError
from asyncsecrets.providers.call import Call, fault, is_write

READING = "AccessSecretVersion BatchGetSecretValue Decrypt Encrypt GetDeletedSecret GetSecretValue ListSecrets"
WRITING = (
    "AddSecretVersion CreateSecret DeleteSecret PurgeDeletedSecret PutSecretValue RecoverDeletedSecret "
    "RemoveRegionsFromReplication RestoreSecret RotateSecret SetSecret UpdateSecretVersionStage"
)


@pytest.mark.parametrize("operation", [*READING.split(), "credentials", "open", ""])
def test_what_only_reads(operation):
    """And what is no operation of a manager's."""
    assert not is_write(operation)
    assert not Call("system", operation).error(UnavailableError, "text", unknown=True).outcome_unknown


@pytest.mark.parametrize("operation", [*WRITING.split(), "Whatever"])
def test_what_may_change_something(operation):
    """Also an operation that is not known here."""
    assert is_write(operation)
    assert Call("system", operation).error(UnavailableError, "text", unknown=True).outcome_unknown
    assert not Call("system", operation).error(UnavailableError, "text").outcome_unknown


def test_errors_of_any_class():
    """Those that know of no manager and secret say them all the same."""
    error = fault(SecretNotFoundError, "system", "NAME", "text", reason="disabled", version="7")
    assert (str(error), error.provider, error.name) == ("system: 'NAME': text", "system", "NAME")
    assert (error.reason, error.version, error.outcome_unknown) == ("disabled", "7", False)
    assert str(fault(ConfigError, "system", None, "text")) == "system: text"
