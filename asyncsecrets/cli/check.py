"""``asyncsecrets check``: for every secret of a configuration, where it comes from and whether it can be read."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asyncsecrets.cli.console import Console, describe, message_of, printable
from asyncsecrets.cli.exits import Family, family_of, worst
from asyncsecrets.cli.sources import Use, at_source, merge, read_config, uses, using
from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    SecretNotFoundError,
    TransientError,
)
from asyncsecrets.secret import Secret

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config

HELP = "say for every reference of a configuration where it comes from and whether it can be read"

_AT_ONCE: Final = 64

_MEANS_MORE: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that are no texts in YAML."""

_TOLD: Final = 3
"""The most messages that are told of one fault, where it is put differently for each name."""

_LABELS: Final = {
    Family.OK: "ok",
    Family.INTERNAL: "ERROR",
    Family.CONFIG: "CONFIG",
    Family.NOT_FOUND: "MISSING",
    Family.DENIED: "DENIED",
    Family.UNAVAILABLE: "DOWN",
    Family.CONFLICT: "CONFLICT",
    Family.REFUSED: "REFUSED",
    Family.BAD_DATA: "BAD",
    Family.OUTPUT: "ERROR",
}


@dataclass(slots=True)
class Finding:
    """What was found out about one secret. ``seconds``: how long the read took, with opening its source."""

    use: Use
    source: str = ""
    system: str = ""
    rule: str = ""
    secret: Secret | None = None
    error: AsyncSecretsError | None = None
    seconds: float = 0.0

    @property
    def family(self) -> Family:
        return family_of(self.error) if self.error is not None else Family.OK

    @property
    def name(self) -> str:
        return self.use.reference.name if self.use.reference is not None else self.use.text


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="only these (default: all that the configuration uses)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Read every secret once, all at once, and report. The exit code is that of the gravest fault."""
    config = read_config(args)
    wanted = _wanted(args, config)
    if not wanted:
        raise ConfigError(
            f"{config.origin or 'the configuration'} refers to no secret, has no hosted_keys, and no local store has a "
            f"secret: there is nothing to check; store one with asyncsecrets set NAME, or name some: check NAME"
        )
    findings = using(config, lambda client: _check_all(client, wanted))
    _add_remedies(config, findings, args.config)
    code = worst(finding.family for finding in findings).value
    document: dict[str, Any] = {
        "ok": code == 0,
        "exit_code": code,
        "configuration": config.origin or None,
        "secrets": [_row(finding) for finding in findings],
        "faults": [_fault_document(group) for group in _faults(findings)],
    }
    hosted = None if args.names else _hosted(config, findings)
    if hosted is not None:
        document["hosted_keys"] = hosted
    console.result(document, _report(findings, console) + _hosted_text(config, hosted))
    if config.origin and not args.config:
        console.note(f"asyncsecrets: the configuration is {printable(config.origin)}")
    return code


def _hosted(config: Config, findings: Iterable[Finding]) -> list[str] | None:
    """The ``hosted_keys`` that a file of LiteLLM should have: what it uses of the manager. None where it has them, and
    where it cannot be told yet: a name that could not be asked for would be missing, and come from the environment."""
    from asyncsecrets.config import DEFAULT_SOURCE

    document, source = config.document.reveal(), config.sources[DEFAULT_SOURCE]
    if source.hosted_keys is not None or ("model_list" not in document and "litellm_settings" not in document):
        return None
    names = [finding for finding in findings if _is_name(finding.use)]
    if any(finding.error is not None and finding.family is not Family.NOT_FOUND for finding in names):
        return None
    return [finding.name for finding in names if finding.secret is not None and finding.secret.source == DEFAULT_SOURCE]


def _is_name(use: Use) -> bool:
    return use.reference is not None and use.reference.is_plain and not use.is_only_stored


def _hosted_text(config: Config, hosted: list[str] | None) -> str:
    if not hosted:
        return ""
    names = "".join(f"\n    - {_as_yaml(name)}" for name in hosted)
    return (
        f"\n\nFor LiteLLM to ask the manager for these and nothing else, and the environment for none, put into "
        f"key_management_settings of {printable(config.origin)}:\n  hosted_keys:{names}"
    )


def _as_yaml(name: str) -> str:
    """A name as YAML has it: ``NO`` and ``12`` are no texts there, and LiteLLM reads what is written."""
    import json

    is_text = name.isascii() and name.isidentifier() and name.lower() not in _MEANS_MORE
    return name if is_text else json.dumps(name)


def _wanted(args: argparse.Namespace, config: Config) -> list[Use]:
    if args.names:
        return merge((at_source(name, args.source), "the command line") for name in args.names)
    found = uses(config)
    if args.source is None:
        return found
    # What is no reference stays as it is, to be reported.
    texts = [(use.text if use.problem else at_source(use.text, args.source), use.places) for use in found]
    return merge((text, place) for text, places in texts for place in places)


async def _check_all(client: SecretsClient, wanted: Iterable[Use]) -> list[Finding]:
    import asyncio

    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(use: Use) -> Finding:
        async with turn:
            return await _check(client, use)

    findings = await asyncio.gather(*map(one, wanted))
    await _add_hints(client, findings)
    return findings


async def _add_hints(client: SecretsClient, findings: list[Finding]) -> None:
    """Say what an absent name may have meant: one call for each source, and none for those that have all."""
    from asyncsecrets.cli.hints import hints
    from asyncsecrets.client.places import ENVIRONMENT

    absent: dict[str, list[Finding]] = {}
    for finding in findings:
        if isinstance(finding.error, SecretNotFoundError) and finding.error.reason == "absent":
            absent.setdefault(finding.source, []).append(finding)
    for source, missing in absent.items():
        there = [one.name for one in findings if one.secret and source in {one.source, one.secret.source, ENVIRONMENT}]
        found = await hints(client, source, [finding.name for finding in missing], there)
        for finding in missing:
            if finding.error is not None:
                finding.error.message += found[finding.name]


def _add_remedies(config: Config, findings: Iterable[Finding], path: str | None) -> None:
    """Say how what is absent gets to where it is looked for."""
    from asyncsecrets.cli.hints import remedy, unhosted

    for finding in findings:
        error, reference = finding.error, finding.use.reference
        if not isinstance(error, SecretNotFoundError) or error.reason != "absent" or reference is None:
            continue
        if reference.source is None:
            error.message += unhosted(config, reference.name)
        if reference.version is None:
            what = remedy(config, finding.source, reference.name, path)
            error.message += f" Else {what}" if error.message.endswith("?") else f"; {what}"


async def _check(client: SecretsClient, use: Use) -> Finding:
    finding = Finding(use, error=use.problem)
    if use.problem is not None:
        return finding
    started = time.perf_counter()
    try:
        where = client.explain(use.text)
        finding.source, finding.system, finding.rule = where.source, where.system, where.rule
        finding.secret = await client.get(use.text)
        finding.secret.reveal_bytes()
    except AsyncSecretsError as error:
        finding.error = error
    finding.seconds = time.perf_counter() - started
    return finding


def _row(finding: Finding) -> dict[str, Any]:
    secret = finding.secret
    return {
        "reference": finding.use.text,
        "name": finding.name,
        "places": finding.use.places,
        "status": finding.family.word,
        "source": finding.source or None,
        "system": finding.system or None,
        "rule": finding.rule or None,
        "answered_by": secret.source if secret is not None else None,
        "version": secret.version if secret is not None else None,
        "milliseconds": round(finding.seconds * 1000, 1),
        "error": describe(finding.error) if finding.error is not None else None,
    }


def _report(findings: list[Finding], console: Console) -> str:
    """A table, then each fault once, with the names behind it and the remedy."""
    table = console.table(("", "NAME", "SOURCE", "VERSION", "TIME"), [_cells(finding) for finding in findings])
    return "\n".join([table, *(_fault_text(group) for group in _faults(findings))])


def _cells(finding: Finding) -> tuple[str, ...]:
    secret = finding.secret
    source = f"{finding.source} ({finding.system})" if finding.source else "-"
    if secret is not None and secret.source != finding.source:
        source = f"{secret.source} (absent at {finding.source})"
    version = secret.version if secret is not None and secret.version else "-"
    return (_LABELS[finding.family], finding.name, source, version, f"{finding.seconds * 1000:.1f} ms")


def _faults(findings: list[Finding]) -> list[list[Finding]]:
    """Findings with the same fault together: that of a whole source is one, however many names are behind it."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        if finding.error is not None:
            groups.setdefault(_fault(finding, finding.error), []).append(finding)
    return list(groups.values())


def _fault(finding: Finding, error: AsyncSecretsError) -> tuple[str, ...]:
    """What tells one fault from another. A server that is down, or does not know who is asking, is so for all names,
    however it is put for each of them; anything else is the same if it is put the same, the name aside."""
    if isinstance(error, TransientError | AuthenticationError):
        return (finding.source, family_of(error).word)
    if isinstance(error, SecretNotFoundError):  # each is looked for in a place of its own
        return (finding.source, finding.name)
    return (finding.source, type(error).__name__, _nameless(finding))


def _fault_text(group: list[Finding]) -> str:
    first = group[0]
    where = f"  ({', '.join(first.use.places)})" if len(group) == 1 else _of_source(first)
    names = ", ".join(printable(finding.name) for finding in group)
    told = "\n".join(_messages(group)[:_TOLD]).replace("\n", "\n  ")
    return f"\n{_LABELS[first.family]}  {names}{where}\n  {told}"


def _of_source(finding: Finding) -> str:
    return f"  (source {finding.source})" if finding.source else ""


def _fault_document(group: list[Finding]) -> dict[str, Any]:
    first = group[0]
    names = [finding.name for finding in group]
    kind = type(first.error).__name__
    return {"source": first.source or None, "class": kind, "message": _messages(group)[0], "names": names}


def _messages(group: list[Finding]) -> list[str]:
    """The messages of one fault, in order, each once: of several names, without the name that happened to meet it."""
    if len(group) == 1:
        return [_message(group[0])]
    return list(dict.fromkeys(map(_nameless, group)))


def _message(finding: Finding) -> str:
    message = message_of(finding.error) if finding.error is not None else ""
    return message.replace(f"{finding.name!r}: ", "", 1).replace(f" (wanted for {finding.name!r})", "")


def _nameless(finding: Finding) -> str:
    """The message with NAME for the name, where it stands by itself or ends a path."""
    name = re.escape(printable(finding.name))
    return re.sub(rf"(?<=['\"/]){name}(?=['\"\s:;,)?]|$)", "NAME", _message(finding))
