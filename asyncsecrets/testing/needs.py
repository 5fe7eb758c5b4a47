"""What the fakes need beside the package: loaded when it is first needed."""

from __future__ import annotations

import importlib
from typing import Any

from asyncsecrets.errors import MissingDependencyError


def need(module: str, extra: str) -> Any:
    """A module that comes with that extra.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        pass
    raise MissingDependencyError(
        f"this fake needs {module.partition('.')[0]}: pip install 'asyncsecrets[{extra}]'", extra=extra
    )
