"""What a task takes from Airflow: which run it belongs to, as of when, why, and what may be released.

Params, conf and asset events are hints of whoever triggered the run: they are checked here, once, by
`resolve_window`; from then on the ledger says what the run is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast, get_args

from airflow.sdk.types import DagRunProtocol

from evergreen.errors import BadConfiguration
from evergreen.ports import Duty
from evergreen.redaction import redact
from evergreen.results import ReleaseWish
from evergreen.steps.requests import Serves
from evergreen.text import plain
from evergreen.window import SCHEDULED_RUN_TYPES, parse_instant, resolve_as_of

LONGEST_REASON = 300
LONGEST_USER = 200


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run as it was asked for. `as_of` is in UTC.

    `woken_by` are the keys of the retrain requests that its asset events name; `triggered_by` is the
    user who started it, or whose backfill it is part of, where somebody did.
    """

    run_key: str
    as_of: datetime
    reason: str
    release: ReleaseWish
    serves: Serves = "none"
    woken_by: tuple[str, ...] = ()
    triggered_by: str | None = None


def run_key_of(model: str, dag_run: DagRunProtocol, duty: Duty = "retrain") -> str:
    """Return the key under which the ledger knows the run; no id of a run holds a slash."""
    return f"{model}/{dag_run.run_id}" if duty == "retrain" else f"{model}/{duty}/{dag_run.run_id}"


def read_run_context(model: str, dag_run: DagRunProtocol, params: Mapping[str, Any]) -> RunContext:
    """Return what was asked for.

    Raises:
        BadConfiguration: an as-of that is no date or lies ahead of the run, or an unknown release wish.
    """
    run_type = str(dag_run.run_type.value)
    scheduled = run_type in SCHEDULED_RUN_TYPES
    asked_for = None if scheduled else _asked_for(params.get("as_of"), dag_run.run_after)
    as_of = resolve_as_of(
        run_type,
        interval_end=dag_run.data_interval_end,
        asked_for=asked_for,
        run_after=dag_run.run_after,
    )
    release = _release(params.get("release", "auto"))
    return RunContext(
        run_key=run_key_of(model, dag_run),
        as_of=as_of,
        reason=_reason(run_type, dag_run, params.get("reason")),
        release=release,
        serves=_serves(run_type, dag_run, release),
        woken_by=tuple(sorted(filter(None, map(_request, dag_run.consumed_asset_events)))),
        triggered_by=plain(dag_run.triggering_user_name or "", LONGEST_USER) or None,
    )


def _serves(run_type: str, dag_run: DagRunProtocol, release: ReleaseWish) -> Serves:
    """Return which requests of the watch the run serves.

    Evergreen's own event names a request and is a wake-up only; Airflow may lose it or start two runs on
    it, the second of which may see no event at all. Any other event asks for a retrain as of now.
    """
    if run_type.startswith("asset") and all(map(_request, dag_run.consumed_asset_events)):
        return "newest"
    return "none" if run_type == "backfill" or release == "never" else "earlier"


def _request(event: Any) -> str | None:
    """Return the key of the request that an event names, or None: it is not Evergreen's."""
    key = event.extra.get("request")
    return str(key) if key else None


def _asked_for(text: object, run_after: datetime) -> datetime | None:
    if text is None or text == "":
        return None
    try:
        instant = parse_instant(str(text))
    except (ValueError, OverflowError) as exc:
        raise BadConfiguration(
            "the as-of asked for cannot be read",
            where="param as_of",
            got=text,
            allowed="an ISO 8601 date or time, such as 2013-04-01 or 2013-04-01T06:00:00+00:00",
            fix="trigger the run again",
        ) from exc
    if instant > run_after:
        raise BadConfiguration(
            "the as-of asked for lies ahead of the run: its data is not there yet",
            where="param as_of",
            got=instant.isoformat(),
            allowed=f"at most {run_after.isoformat()}",
            fix="trigger the run again with an earlier as-of, or with none",
        )
    return instant


def _release(wish: object) -> ReleaseWish:
    allowed: tuple[str, ...] = get_args(ReleaseWish)
    if wish not in allowed:
        raise BadConfiguration(
            "unknown release wish",
            where="param release",
            got=wish,
            allowed=", ".join(allowed),
            fix="trigger the run again",
        )
    return cast("ReleaseWish", wish)


def _reason(run_type: str, dag_run: DagRunProtocol, asked: object) -> str:
    words = plain(asked, LONGEST_REASON) if asked else ""
    if run_type.startswith("asset"):
        events = dag_run.consumed_asset_events
        names = sorted({plain(event.asset.name, 100) for event in events})
        told = sorted(
            {plain(event.extra["reason"], 100) for event in events if event.extra.get("reason")}
        )
        head = f"asset event {', '.join(names)}" if names else "asset event"
        words = "; ".join(filter(None, [*told, words]))
    elif run_type in SCHEDULED_RUN_TYPES:
        head = {"scheduled": "schedule"}.get(run_type, run_type)
    else:
        user = dag_run.triggering_user_name
        head = f"asked for by {plain(user, 100)}" if user else "asked for"
    return redact(plain(f"{head}: {words}" if words else head, LONGEST_REASON))
