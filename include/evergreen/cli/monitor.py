"""`evergreen monitor`: the checks that Airflow makes, in this process."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from datetime import datetime

from evergreen.cli.alone import alone
from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import UsageError, model_path, models_folder, walked_as_ofs
from evergreen.connections import from_environment
from evergreen.loading import load_model
from evergreen.results import PinnedModel, to_json
from evergreen.settings import Settings
from evergreen.steps.watch.judge import judge
from evergreen.steps.watch.measure import measure
from evergreen.steps.watch.profile import profile
from evergreen.steps.watch.request import request
from evergreen.watch_results import RetrainDecision, Verdict
from evergreen.wiring import open_workspace
from evergreen.workspace import Workspace


def monitor(arguments: Namespace) -> int:
    """Make one check, or every scheduled one of a time range; 1 where the newest is an alarm."""
    model = load_model(model_path(models_folder(arguments.models), arguments.name))
    rule = model.spec.monitor
    if rule is None:
        raise UsageError(f"{arguments.name} is not watched: its file has no section monitor")
    as_ofs = walked_as_ofs(arguments, rule.schedule, "monitor.schedule")
    settings = Settings.from_environment()
    with (
        open_workspace(settings, from_environment) as workspace,
        alone(settings.home, f"{arguments.name}.monitor"),
    ):
        checks = list(_checks(workspace, model, as_ofs, arguments))
    if arguments.json:
        say_json([{"verdict": to_json(v), "decision": to_json(d)} for v, d in checks])
    return FINDINGS if checks and checks[-1][0].answer == "alarm" else OK


def _checks(
    workspace: Workspace, model: PinnedModel, as_ofs: list[datetime], arguments: Namespace
) -> Iterator[tuple[Verdict, RetrainDecision]]:
    for as_of in as_ofs:
        # Asked for again, the same check is found: it is of the same model file and the same instant.
        run_key = f"{model.spec.name}/monitor/cli/{as_of:%Y-%m-%dT%H:%M:%SZ}"
        profile(workspace, run_key, model, as_of, arguments.reason)
        measure(workspace, run_key)
        verdict, decision = judge(workspace, run_key), request(workspace, run_key)
        if not arguments.json:
            _tell(verdict, decision)
        yield verdict, decision


def _tell(verdict: Verdict, decision: RetrainDecision) -> None:
    spoke = f" ({verdict.spoke})" if verdict.spoke else ""
    say(f"{verdict.as_of:%Y-%m-%d %H:%M} UTC: {verdict.answer}{spoke}, {verdict.rows:,} rows")
    for line in (*verdict.words, *decision.reasons):
        say(f"  {line}")
    for stored in verdict.report:
        say(f"  report: {stored.uri}")
