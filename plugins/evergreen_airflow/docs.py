"""The texts Airflow shows with a DAG. What a model file says is escaped: it renders as it is written."""

from __future__ import annotations

from collections.abc import Iterable

from evergreen.monitor_spec import Monitor, Score
from evergreen.redaction import redact
from evergreen.spec import ModelSpec
from evergreen.text import markdown, plain

MOST_PROBLEMS_SHOWN = 50

_RESUME = """### How to resume after a failure

1. Read the log of the task **report**: it says how far the run came and why it stopped. The log of
   the failed task holds the whole message.
2. *Something did not answer* (a database, a store, the registry): when it answers again, clear the
   failed task with its downstream tasks. What was finished is found again, never done twice.
3. *The data was rejected, or the model file is wrong*: mend it, then trigger a **new** run with the
   same as-of. A run keeps the model file and the snapshot it began with.
4. The target is switched in one move: until then the champion serves as before. A release that was
   cut off is finished when the task is tried again, or by the next run.
5. *The champion cannot be scored any more* (its column or its files are gone): trigger a run with
   release *unopposed*. A challenger that beats the base rate then replaces it without that comparison.
"""

FLEET_DOC = """Looks after all models, every few minutes:

- tells people what waits to be told: what a channel did not take at once, what quiet hours held back,
  incidents that nobody acknowledged, digests;
- tells the owner of a model file that it broke, or was mended;
- tells that no retrain of a model has come to an answer for longer than its `stale_after`;
- keeps a checkpoint of the ledger where `EVERGREEN_CHECKPOINTS` says, and tells where none can be kept.

A run that fails loses nothing: the next one goes on where it stopped. Pause it, and only the messages
that a model's own tasks can send at once are sent. `evergreen alerts` shows what is open and what waits;
`evergreen notify` does the same as this DAG without Airflow.
"""

RECONCILE_DOC = """Finds what a crash left half done, every ten minutes, and finishes or closes it:

- a release that was decided and not carried out; an alias or a target that is not at the champion;
- a run that is gone and never said what it came to; a question to people whose time is over;
- a request for a retrain that no run serves: its retrain is woken again.

It takes a model's lease only where there is something to do, and never from a live run. What it did
stands in `evergreen history`, and where it matters people are told. What only a person can mend is told,
and does not fail this DAG. Whatever is killed, the next run goes on; `evergreen reconcile` does the same
from a terminal, and with `--dry-run` only looks.
"""

_SCORE_AGAIN = """### How to score again

- *The task failed*: when what its log names is mended, clear it. Rows are put into the log in place of
  those of the same window, so nothing is ever there twice.
- *The rows changed since*: trigger a new run with the same as-of. It takes the place of the old rows.
- *Rows of the past*: backfill this DAG. Each run takes the champion of its own as-of.
"""

_CHECK_AGAIN = """### What the tasks say

- **judge** names each alarm with its number, what chance alone reaches, and how rarely. An alarm is no
  failure: the task is green.
- **request** says why a retrain was asked for, or why not. It is skipped where none stands open.
- A failed task is cleared when what its log names is mended; what was finished is found again.
- History is checked by a backfill of this DAG: each run takes the champion of its own as-of.
- `evergreen watch NAME` shows the newest check.
"""


def retrain_doc(spec: ModelSpec) -> str:
    """Return the Markdown page of a model's retrain DAG."""
    data, gate = spec.data, spec.gate
    rule = {
        "superiority": "must prove to be better",
        "non_inferiority": "must prove not to be worse",
    }[gate.policy]
    schedule = f"cron {_code(spec.schedule)} (UTC)" if spec.schedule else "only when asked"
    return "\n".join(
        (
            f"**{markdown(spec.description)}**",
            "",
            f"- **Owner**: {markdown(spec.owner)} (tier {spec.tier})",
            f"- **Runs**: {schedule}, on a retrain request, or by hand with *Trigger*",
            f"- **Reads**: rows by {_code(data.time_column)}; trains on {data.train_window}, "
            f"judges on the {data.test_window} before the as-of (labels known after {data.label.delay})",
            f"- **Gate**: at {gate.confidence * 100:.10g}% confidence the challenger {rule} than the "
            f"champion in {_code(gate.metric_name)} by {gate.margin}, and must beat always giving the "
            f"same answer{_protected(spec)}",
            "",
            _RESUME,
        )
    )


def score_doc(spec: ModelSpec, score: Score) -> str:
    """Return the Markdown page of a model's scoring DAG."""
    schedule = f"cron {_code(score.schedule)} (UTC)" if score.schedule else "only when asked"
    source = "`data.source`" if score.source is None else "`score.source`"
    return "\n".join(
        (
            f"**{markdown(spec.description)}**",
            "",
            f"- **Owner**: {markdown(spec.owner)} (tier {spec.tier})",
            f"- **Runs**: {schedule}, or by hand with *Trigger*",
            f"- **Reads**: the rows of the {score.window} before the as-of from {source}, by "
            f"{_code(spec.data.time_column)}",
            "- **Writes**: key, time, version, the features used and the prediction into the prediction "
            "log, with the champion of the as-of",
            "",
            _SCORE_AGAIN,
        )
    )


def monitor_doc(spec: ModelSpec, monitor: Monitor) -> str:
    """Return the Markdown page of a model's monitor DAG."""
    schedule = f"cron {_code(monitor.schedule)} (UTC)" if monitor.schedule else "only when asked"
    source = "the prediction log" if monitor.source is None else "`monitor.source`"
    retrain = "never"
    if monitor.retrain is not None:
        policy = monitor.retrain
        retrain = (
            f"after {policy.after} checks with an alarm of {', '.join(policy.on)}; not within "
            f"{policy.cooldown} of the last, at most {policy.at_most}"
        )
    return "\n".join(
        (
            f"**{markdown(spec.description)}**",
            "",
            f"- **Owner**: {markdown(spec.owner)} (tier {spec.tier})",
            f"- **Checks**: {schedule}, or by hand with *Trigger*",
            f"- **Looks at**: the champion's rows of the last {monitor.window}, from {source}",
            f"- **False alarms accepted**: {monitor.false_alarms}; thresholds follow from that",
            f"- **Asks for a retrain**: {retrain}",
            "",
            _CHECK_AGAIN,
        )
    )


def invalid_doc(file_name: str, problems: Iterable[str]) -> str:
    """Return the Markdown page that shows what is wrong with a model file."""
    lines = [f"- {markdown(redact(problem))}" for problem in problems]
    shown = lines[:MOST_PROBLEMS_SHOWN]
    if len(lines) > len(shown):
        shown.append(f"- … and {len(lines) - len(shown)} more: `evergreen lint` shows all")
    return "\n".join(
        (
            f"**The model file {markdown(file_name)} cannot be used.** All other models run on.",
            "",
            *shown,
            "",
            "Mend the file: the model's DAG comes (back) with the next parse, and this one goes away.",
            "Runs that had begun wait until then and go on with the file they began with.",
        )
    )


def _protected(spec: ModelSpec) -> str:
    """Return what else the gate asks of the challenger."""
    gate, parts = spec.gate, []
    if gate.slices:
        names = [one if isinstance(one, str) else one.column for one in gate.slices]
        parts.append(f"no slice by {', '.join(map(_code, names))} may be harmed")
    if gate.fairness is not None:
        groups = ", ".join(map(_code, gate.fairness.columns))
        parts.append(
            f"groups by {groups} may differ by {gate.fairness.bound:g} at most in "
            f"{_code(gate.fairness.metric)}"
        )
    return "".join(f"; {part}" for part in parts)


def _code(text: str) -> str:
    """Return text as a code span, or escaped where the span could end early."""
    return f"`{text}`" if text == plain(text) and "`" not in text else markdown(text)
