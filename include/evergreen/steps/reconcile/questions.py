"""Questions to people whose time is over: closed by the same rule as everywhere."""

from __future__ import annotations

from collections.abc import Iterator

from evergreen.approval_questions import overdue
from evergreen.reconcile_results import Finding
from evergreen.steps.approve import end_overdue
from evergreen.steps.reconcile.circumstances import Circumstances
from evergreen.workspace import Workspace


def look(workspace: Workspace, model: str, circumstances: Circumstances) -> Iterator[Finding]:
    """Yield the questions that nobody answered in time, of which others than their run may say so."""
    for asked in overdue(workspace.ledger, circumstances.now, model):
        yield Finding(
            model,
            "overdue_question",
            f"{asked.run_key}/{asked.number}",
            f"nobody answered in time whether to release version {asked.version}, as run "
            f"{asked.run_key} asked",
            "the question is closed",
            command=f"evergreen explain {model}",
        )


def mend(workspace: Workspace, finding: Finding, circumstances: Circumstances) -> None:
    """Close the model's overdue questions. Safe to repeat."""
    end_overdue(workspace.ledger, circumstances.now, finding.model)
