"""The conformance suite holds: it passes a sound provider and catches each planted defect."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap

import pytest

from asyncsecrets.errors import InvalidNameError, SecretNotFoundError, UnavailableError
from asyncsecrets.testing.conformance import (
    CANARY,
    FAULT_ERRORS,
    FAULTS,
    ProviderConformance,
    ProviderHarness,
    ReaderConformance,
    check_error,
)
from tests.testing import broken_providers as broken


class TestSound(ProviderConformance):
    """A sound provider passes every test of the suite, all faults included."""

    @pytest.fixture
    def harness(self):
        """The sound provider on its scripted backend."""
        return broken.Harness(broken.Sound())


# The defect, the test that must notice it with its parameter, and what the test must say.
DEFECTS = [
    (broken.Strips, "test_payload", "surrounded", "not exactly what was stored"),
    (broken.Strips, "test_put_payload", "blank", "not exactly what was stored"),
    (broken.DecodesLossily, "test_payload", "binary", "not exactly what was stored"),
    (broken.EmptyIsAbsent, "test_payload", "empty", SecretNotFoundError),
    (broken.ReturnsText, "test_latest", None, "get returned str, not a Secret"),
    (broken.ReturnsNone, "test_missing", None, "expected SecretNotFoundError, got an answer"),
    (broken.ReturnsNone, "test_removed", None, "expected SecretNotFoundError, got an answer"),
    (broken.ForeignError, "test_missing", None, "expected SecretNotFoundError, got KeyError"),
    (broken.ForeignContext, "test_missing", None, "a foreign KeyError rides along"),
    (broken.WrongClass, "test_missing", None, "expected SecretNotFoundError, got UnavailableError"),
    (broken.WrongReason, "test_missing", None, "the reason is 'deleted'"),
    (broken.NamelessError, "test_missing", None, "does not name the secret"),
    (broken.LeaksInError, "test_missing", None, "SecretNotFoundError holds a value"),
    (broken.LeaksInFault, "test_fault", "unavailable", "UnavailableError holds a value"),
    (broken.LeaksInRepr, "test_is_a_provider", None, "repr holds a value"),
    (broken.LeaksInLog, "test_latest", None, "a value in a log record of 'broken'"),
    (broken.IgnoresVersion, "test_given_version", None, "not exactly what was stored"),
    (broken.CachesForEver, "test_latest", None, "not exactly what was stored"),
    (broken.CachesForEver, "test_removed", None, "got an answer"),
    (broken.SharesState, "test_concurrent", None, "not exactly what was stored"),
    (broken.SwallowsCancel, "test_cancelled_get", None, "did not end as cancelled"),
    (broken.BreaksWhenCancelled, "test_cancelled_get", None, UnavailableError),
    (broken.FoldsCase, "test_hostile_name", "case", "got an answer"),
    (broken.DropsCharacters, "test_hostile_name", "zero_width", "got an answer"),
    (broken.DropsCharacters, "test_hostile_name", "surrogate", "got an answer"),
    (broken.SendsBadNames, "test_hostile_name", "empty_name", "must not be sent"),
    (broken.RefusesNames, "test_unusual_names", None, "expected SecretNotFoundError, got InvalidNameError"),
    (broken.TrimsSlashes, "test_unusual_names", None, "the error does not name the secret"),
    (broken.DecodesOnWriting, "test_writes_to_unusual_names", None, SecretNotFoundError),
    (broken.NormalisesOnDelete, "test_write_to_hostile_name", "traversal", SecretNotFoundError),
    (broken.RefusesSomeWrites, "test_write_to_hostile_name", "traversal", "got an answer"),
    (broken.IgnoresCas, "test_compare_and_set", None, "expected ConflictError, got an answer"),
    (broken.RacyCas, "test_compare_and_set_race", None, "5 of five puts won"),
    (broken.WritesBeforeRefusing, "test_compare_and_set", None, "got an answer"),
    (broken.ReturnsOldVersion, "test_put", None, "put returns another name or version"),
    (broken.DeleteDoesNothing, "test_delete", None, "got an answer"),
    (broken.DeleteMinds, "test_delete", None, SecretNotFoundError),
    (broken.RestoreDoesNothing, "test_restore", None, SecretNotFoundError),
    (broken.RestoreMinds, "test_restore", None, SecretNotFoundError),
    (broken.RestoreMakesWhatNeverWas, "test_restore", None, "expected SecretNotFoundError, got an answer"),
    (broken.RestoresAll, "test_restore_versions", None, "got an answer"),
    (broken.DeletesCurrentToo, "test_delete_versions", None, SecretNotFoundError),
    (broken.DestroyOnlyDeletes, "test_destroy", None, "got an answer"),
    (broken.DestroyOnlyDeletes, "test_destroy_versions", None, "got an answer"),
    (broken.DestroyMinds, "test_destroy", None, SecretNotFoundError),
    (broken.DestroysAll, "test_destroy_versions", None, "the reason is 'absent'"),
    (broken.NoVersionsMeansAll, "test_no_versions_given", None, SecretNotFoundError),
    (broken.PatchReplaces, "test_patch", None, "not what the patch should have made of it"),
    (broken.PatchIsShallow, "test_patch", None, "not what the patch should have made of it"),
    (broken.PatchReturnsOldVersion, "test_patch", None, "returns another version"),
    (broken.PatchIgnoresCas, "test_patch_compare_and_set", None, "expected ConflictError, got an answer"),
    (broken.RotateReturnsOldVersion, "test_rotate", None, "does not return a new version"),
    (broken.MetadataForgets, "test_limits_in_metadata", None, "not what was written"),
    (broken.EmptyMetadataIsIgnored, "test_metadata", None, "does not clear"),
    (broken.EncryptShows, "test_encrypt", None, "shows the value"),
    (broken.EncryptStrips, "test_encrypt", None, "not exactly what was stored"),
    (broken.HidesUnknownChange, "test_fault_in_a_change", "reset", "patch: sent and not answered"),
    (broken.ListsFolders, "test_list", None, "not the sorted names under the prefix"),
    (broken.ListsUnsorted, "test_list", None, "not the sorted names under the prefix"),
    (broken.NewestFirst, "test_versions", None, "oldest first"),
    (broken.BatchMixesUp, "test_batch", None, "the batch does not hold the value"),
    (broken.BatchSpoils, "test_batch_of_hostile_names", None, InvalidNameError),
    (broken.DeniedIsAbsent, "test_fault", "denied", "expected AccessDeniedError, got SecretNotFoundError"),
    (broken.ForgetsRetryAfter, "test_fault", "rate_limited_retry_after", "retry_after is None"),
    (broken.Retries, "test_fault", "unavailable", "several attempts"),
    (broken.HidesUnknownOutcome, "test_fault_in_a_write", "reset", "not answered is reported as failed"),
    (broken.UnknownForRefused, "test_fault_in_a_write", "denied", "refused is reported as perhaps applied"),
    (broken.StaysBroken, "test_fault", "timeout", UnavailableError),
    (broken.Hangs, "test_latest", None, TimeoutError),
    (broken.NeverCloses, "test_closed", None, "expected ClosedError, got an answer"),
    (broken.ClosesOnce, "test_closed", None, RuntimeError),
    (broken.LeavesTask, "test_latest", None, "left over after the scenario: task renewal"),
    (broken.ForgetsAwait, "test_latest", None, "RuntimeWarning"),
    (broken.ForgetsFile, "test_latest", None, "ResourceWarning"),
    (broken.BindsToLoop, "test_reopened", None, RuntimeError),
    (broken.CannotBeAbandoned, "test_abandoned", None, RuntimeError),
]


def _parameters():
    for defect, test, kind, noticed in DEFECTS:
        marks = [pytest.mark.leaks("the planted defect")] if defect is broken.LeaksInLog else []
        yield pytest.param(defect, test, kind, noticed, marks=marks, id=f"{defect.__name__}-{kind or test}")


@pytest.mark.parametrize(("defect", "test", "kind", "noticed"), list(_parameters()))
def test_defect_is_noticed(defect, test, kind, noticed):
    """A provider that breaks this clause of the contract fails this test, which says so without showing a value."""
    harness = broken.Harness(defect())
    harness.patience = 0.3 if noticed is TimeoutError else harness.patience
    arguments = {} if kind is None else {"kind": kind}
    expected, match = (AssertionError, noticed) if isinstance(noticed, str) else (noticed, None)
    with pytest.raises(expected, match=match) as caught:
        getattr(ProviderConformance(), test)(harness, **arguments)
    assert CANARY not in str(caught.value)


def test_every_defect_is_planted():
    """No broken provider is forgotten in the table."""
    planted = {
        item for _, item in inspect.getmembers(broken, inspect.isclass)
        if issubclass(item, broken.Sound) and item is not broken.Sound
    }  # fmt: skip
    assert planted == {defect for defect, *_ in DEFECTS}


def test_every_fault_has_its_error():
    """Each fault that a harness can make is asserted on."""
    assert set(FAULT_ERRORS) == set(FAULTS)


def test_declarations_are_checked():
    """A harness that excuses what the suite does not know, or gives no reason, is told so."""
    harness = broken.Harness(broken.Sound())
    harness.unsupported = {"relentless": "a slip of the pen"}
    with pytest.raises(AssertionError, match="relentless"):
        ReaderConformance().test_declarations(harness)
    harness.unsupported, harness.accepts = {}, ["quotation marks"]
    with pytest.raises(AssertionError, match="quotation marks"):
        ReaderConformance().test_declarations(harness)
    harness.unsupported, harness.accepts = {"denied": ""}, ()
    with pytest.raises(AssertionError, match="needs its reason"):
        ReaderConformance().test_declarations(harness)


def test_a_reserved_name_is_not_created():
    """Where the harness says that only the manager gives such names, a put that creates one is noticed."""
    harness = broken.Harness(broken.Sound())
    harness.reserved = {"exclamation_mark"}
    with pytest.raises(AssertionError, match="expected InvalidNameError, got an answer") as caught:
        ProviderConformance().test_writes_to_unusual_names(harness)
    assert "'exclamation_mark'" in str(caught.value.__notes__)


def test_a_refusal_needs_a_reason():
    """A name that is refused with nothing but its name is noticed, as is one that is sent first."""
    harness = broken.Harness(broken.RefusesNames())
    harness.accepts = ()
    with pytest.raises(AssertionError, match="without a reason"):
        ReaderConformance().test_unusual_names(harness)


def test_undeclared_fault_is_not_skipped():
    """A fault that the harness neither makes nor declares fails the test: nothing is skipped in silence."""

    class Lazy(broken.Harness):
        fault = ProviderHarness.fault

    with pytest.raises(NotImplementedError, match="'denied' is neither implemented nor declared"):
        ReaderConformance().test_fault(Lazy(broken.Sound()), kind="denied")


def test_clean_error_passes():
    """An error of ours with an error of ours as its context is clean."""
    error = UnavailableError("down", provider="memory", name="NAME")
    error.__context__ = SecretNotFoundError("absent", provider="memory", name="NAME")
    check_error(error)


@pytest.mark.parametrize("where", ["message", "args", "attribute", "key", "bytes", "cause", "context", "note"])
def test_value_is_found_wherever_it_hides(where):
    """A value in any corner of an error is found."""
    error = UnavailableError(CANARY if where == "message" else "down", provider="memory", name="NAME")
    inner = UnavailableError(f"{CANARY}", provider="memory", name="NAME")
    if where == "args":
        error.args = ("down", [{"deep": (CANARY,)}])
    if where == "attribute":
        error.body = CANARY
    if where == "key":
        error.headers = {f"x-{CANARY}": 1}
    if where == "bytes":
        error.body = bytearray(CANARY.encode())
    if where == "cause":
        error.__cause__ = inner
    if where == "context":
        error.__context__ = inner
    if where == "note":
        error.add_note(CANARY)
    with pytest.raises(AssertionError, match="holds a value"):
        check_error(error)


SUITE = """
    import pytest
    from asyncsecrets.testing.conformance import ProviderConformance
    from tests.testing import broken_providers as broken

    class TestSound(ProviderConformance):
        @pytest.fixture
        def harness(self):
            return broken.Harness(broken.Sound())

    async def test_something_async():
        pass
"""


@pytest.mark.parametrize("options", [["-p", "no:asyncio"], ["--asyncio-mode=strict"], ["--asyncio-mode=auto"]], ids=str)
def test_suite_runs_under_any_plugin(tmp_path, options, request):
    """Without pytest-asyncio, and with it in either mode, the suite's tests run and pass."""
    (tmp_path / "test_sound.py").write_text(textwrap.dedent(SUITE))
    command = [sys.executable, "-m", "pytest", "-q", "-k", "TestSound and (test_fault or test_reopened or test_put)"]
    done = subprocess.run(
        [*command, *options, "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=request.config.rootpath, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert " passed" in done.stdout, done.stdout[-2000:]
    assert "failed" not in done.stdout
    assert "skipped" not in done.stdout
