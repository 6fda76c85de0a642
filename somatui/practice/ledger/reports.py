"""Rules of what validators report: models, submissions, one another (protocol.md 4.3)."""

from __future__ import annotations

from dataclasses import replace

from somatui.practice.ledger.members import NOT_A_VALIDATOR, active
from somatui.practice.ledger.models import MODEL_NOT_ACTIVE
from somatui.practice.ledger.view import Failure, View
from somatui.wire.kinds import (
    ReportModel,
    ReportSubmission,
    ReportValidator,
    UndoReportModel,
    UndoReportSubmission,
    UndoReportValidator,
)
from somatui.wire.objects import Target

ONESELF, NO_RECORD = 19, 20
TARGET_NOT_FILLED, WINDOW_CLOSED = 37, 45


def _undo(records: dict[bytes, set[bytes]], about: bytes, reporter: bytes) -> None:
    if reporter not in records.get(about, ()):
        raise Failure(NO_RECORD)
    records[about].discard(reporter)
    if not records[about]:
        del records[about]


def report_model(view: View, kind: ReportModel, value_fee: int) -> None:
    """A quorum of these closes the model when the epoch changes."""
    _reportable(view, kind.model_id)
    view.state.model_reports.setdefault(kind.model_id, set()).add(view.sender)


def undo_report_model(view: View, kind: UndoReportModel, value_fee: int) -> None:
    """Take such a report back."""
    _reportable(view, kind.model_id)
    _undo(view.state.model_reports, kind.model_id, view.sender)


def _reportable(view: View, model_id: bytes) -> None:
    active(view)
    model = view.state.models.get(model_id)
    if model is None or model.state != "active":
        raise Failure(MODEL_NOT_ACTIVE)


def report_submission(view: View, kind: ReportSubmission, value_fee: int) -> None:
    """A quorum of these takes reward and bond from the submitter when the target is claimed."""
    target = _in_audit(view, kind.target_id)
    view.set_target(kind.target_id, replace(target, reports=tuple(sorted({*target.reports, view.sender}))))


def undo_report_submission(view: View, kind: UndoReportSubmission, value_fee: int) -> None:
    """Take such a report back."""
    target = _in_audit(view, kind.target_id)
    if view.sender not in target.reports:
        raise Failure(NO_RECORD)
    view.set_target(kind.target_id, replace(target, reports=tuple(r for r in target.reports if r != view.sender)))


def _in_audit(view: View, target_id: bytes) -> Target:
    target = Target.from_bytes(view.need(target_id).contents)
    active(view)
    if target.filled is None:
        raise Failure(TARGET_NOT_FILLED)
    if view.epoch != target.filled.epoch + 1:
        raise Failure(WINDOW_CLOSED, f"fill_epoch={target.filled.epoch}, current_epoch={view.epoch}")
    return target


def report_validator(view: View, kind: ReportValidator, value_fee: int) -> None:
    """A quorum of these halves a validator's rewards, each epoch until they are taken back."""
    active(view)
    if view.state.validator(kind.reportee) is None:
        raise Failure(NOT_A_VALIDATOR)
    if kind.reportee == view.sender:
        raise Failure(ONESELF)
    view.state.validator_reports.setdefault(kind.reportee, set()).add(view.sender)


def undo_report_validator(view: View, kind: UndoReportValidator, value_fee: int) -> None:
    """Take such a report back."""
    active(view)
    _undo(view.state.validator_reports, kind.reportee, view.sender)
