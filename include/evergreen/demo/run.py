"""`make demo`: two models retrained over the months of 2013 by a real Airflow, then the evidence.

Everything it makes lies in one folder: the warehouse, Airflow's home and Evergreen's.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dateutil.relativedelta import MO, relativedelta
from rich.console import Console
from rich.markup import escape

from evergreen.demo.airflow_api import AirflowApi, DagRun
from evergreen.demo.airflow_home import RunningAirflow, find_airflow, start_airflow, stop_airflow
from evergreen.demo.flights import load_warehouse
from evergreen.demo.progress import watch
from evergreen.demo.summary import audit, print_months, read_champion, read_months
from evergreen.demo.weeks import play_weeks, print_weeks, read_weeks
from evergreen.errors import BadConfiguration, EvergreenError
from evergreen.names import retrain_dag_id
from evergreen.settings import Settings

MODELS = ("flight_delay", "flight_arrival")
WATCHED = "flight_delay"
FIRST_MONTH = date(2013, 3, 1)
MOST_MONTHS = 9
MOST_WEEKS = 20
OK, FAILED, ENVIRONMENT = 0, 1, 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and where everything lies."""

    home: Path
    dags: Path
    models: tuple[str, ...]
    months: tuple[date, ...]
    weeks: int
    port: int

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder."""
        return self.home / "airflow"

    @property
    def warehouse(self) -> Path:
        """The database that the models read."""
        return self.home / "warehouse" / "flights.db"

    @property
    def mondays(self) -> tuple[date, ...]:
        """The Mondays on which the watched weeks begin: after the last retrain of the months."""
        if WATCHED not in self.models:
            return ()
        last = self.months[-1] + relativedelta(months=1)
        first = last + relativedelta(weekday=MO(1))
        return tuple(first + relativedelta(weeks=n) for n in range(self.weeks))

    @property
    def settings(self) -> Settings:
        """Where Evergreen keeps its things."""
        return Settings.from_environment({"EVERGREEN_HOME": str(self.home / "evergreen")})

    @property
    def environment(self) -> Mapping[str, str]:
        """What every process of Airflow gets."""
        return {
            "EVERGREEN_HOME": str(self.home / "evergreen"),
            "AIRFLOW_CONN_FLIGHTS_WAREHOUSE": f"sqlite:///{self.warehouse}",
            # The data ends in 2013: a scheduled run for last month would find nothing.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            # Two trainings share the cores; more threads than cores would slow both.
            "OMP_NUM_THREADS": "1",
        }


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Run the demo, or with --stop end it; 0 ok, 1 a run failed, 3 the environment lacks something."""
    console = console or Console()
    options = _parser().parse_args(arguments)
    home = Path(options.home).absolute()
    try:
        if options.stop:
            return _stop(home, console)
        plan = Plan(
            home=home,
            dags=Path(options.dags).absolute(),
            models=tuple(options.models.split(",")),
            months=tuple(FIRST_MONTH + relativedelta(months=n) for n in range(options.months)),
            weeks=options.weeks,
            port=options.port,
        )
        return _demo(plan, console, leave_running=not options.no_ui)
    except BadConfiguration as exc:
        console.print(f"[red]{escape(str(exc))}[/]", highlight=False)
        return ENVIRONMENT
    except EvergreenError as exc:
        console.print(f"[red]{escape(str(exc))}[/]", highlight=False)
        console.print(f"Airflow still runs, for you to look; {_make_stop(home)} ends it.")
        return FAILED
    except KeyboardInterrupt:
        console.print(f"\nInterrupted; {_make_stop(home)} ends what was started.")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evergreen.demo.run", description=__doc__)
    parser.add_argument("--home", default=".demo", help="folder of everything the demo makes")
    parser.add_argument("--dags", default="dags", help="folder of the DAG files")
    parser.add_argument("--models", default=",".join(MODELS), help="models, comma-separated")
    parser.add_argument(
        "--months", type=int, choices=range(1, MOST_MONTHS + 1), default=4, help="how many, from March"
    )
    parser.add_argument(
        "--weeks", type=int, choices=range(MOST_WEEKS + 1), default=8, help="watched, after them"
    )
    parser.add_argument("--port", type=int, default=8080, help="of the UI; where taken, another one")
    parser.add_argument("--no-ui", action="store_true", help="end Airflow when the runs are over")
    parser.add_argument("--stop", action="store_true", help="end the Airflow of an earlier demo")
    return parser


def _stop(home: Path, console: Console) -> int:
    count = stop_airflow(home / "airflow")
    console.print(f"Ended {count} processes of Airflow." if count else "No Airflow of the demo runs.")
    return OK


def _demo(plan: Plan, console: Console, *, leave_running: bool) -> int:
    began = time.monotonic()
    if not (plan.dags / "models").is_dir():
        raise BadConfiguration("no model files here", where=str(plan.dags / "models"), fix="give --dags")
    airflow = _airflow(plan, console)
    try:
        runs = _backfill(plan, airflow, console)
        agreed = _show(plan, runs, console)
        if plan.mondays:
            _watch(plan, airflow, console)
        console.print(f"The demo took {time.monotonic() - began:.0f} s.")
    finally:
        if not leave_running:
            stop_airflow(plan.airflow_home)
    if leave_running:
        _say_what_next(plan, airflow, console)
    return OK if agreed else FAILED


def _airflow(plan: Plan, console: Console) -> RunningAirflow:
    running = find_airflow(plan.airflow_home)
    if running is not None:
        console.print(f"The demo's Airflow runs already, at {running.url}: it is used again.")
        return running
    with console.status("Loading the flights of 2013 into a warehouse ..."):
        began = time.monotonic()
        load_warehouse(plan.warehouse)
    console.print(f"The warehouse is there ({time.monotonic() - began:.0f} s).")
    with console.status("Starting Airflow: API server, dag-processor, scheduler, triggerer ..."):
        began = time.monotonic()
        with ThreadPoolExecutor(max_workers=1) as pool:
            # Asking makes MLflow's database. Two trainings that both come first would race to make it,
            # and MLflow's migrations do not survive that on SQLite.
            tracking = pool.submit(read_champion, plan.settings, plan.models[0])
            running = start_airflow(
                plan.airflow_home, plan.dags, port=plan.port, extra_env=plan.environment
            )
            tracking.result()
    console.print(f"Airflow answers at {running.url} ({time.monotonic() - began:.0f} s).")
    return running


def _backfill(
    plan: Plan, airflow: RunningAirflow, console: Console
) -> Mapping[tuple[str, date], DagRun]:
    dag_ids = [retrain_dag_id(model) for model in plan.models]
    last = plan.months[-1] + relativedelta(months=1, days=-1)
    with AirflowApi(airflow) as api:
        with console.status("Waiting for the DAGs ..."):
            api.wait_for_dags(dag_ids)
        for dag_id in dag_ids:
            done = {run.day.month for run in api.runs([dag_id]) if run.day and run.state == "success"}
            if not {month.month for month in plan.months} <= done:
                api.backfill(dag_id, plan.months[0], last)
            api.unpause(dag_id)
        console.print(
            f"Asked for {len(plan.months)} months of {' and '.join(plan.models)}, "
            f"{plan.months[0]:%B} to {plan.months[-1]:%B %Y}."
        )
        return watch(airflow, api, plan.models, plan.months, console)


def _show(plan: Plan, runs: Mapping[tuple[str, date], DagRun], console: Console) -> bool:
    agreed = True
    for model in plan.models:
        print_months(console, model, read_months(plan.settings, model, runs))
        champion = read_champion(plan.settings, model)
        agreed = agreed and champion.agree
        verdict = "[green]they agree[/]" if champion.agree else "[red]they differ[/]"
        console.print(
            f"Champion of {model}: version {champion.ledger} by the ledger, "
            f"{champion.registry} by MLflow, {champion.target} at the release target: {verdict}",
            highlight=False,
        )
    broken = audit(plan.settings)
    console.print(
        "[red]The ledger's chain is broken: " + escape(broken) + "[/]"
        if broken
        else "The ledger verifies."
    )
    return agreed and broken is None


def _watch(plan: Plan, airflow: RunningAirflow, console: Console) -> None:
    console.print(
        f"\nWatching {WATCHED}: {len(plan.mondays)} weeks from {plan.mondays[0]:%-d %B %Y} are scored "
        "and checked, one after another."
    )
    with AirflowApi(airflow) as api:
        play_weeks(airflow, api, plan.settings, WATCHED, plan.mondays, console)
    print_weeks(console, WATCHED, read_weeks(plan.settings, WATCHED, plan.mondays))


def _say_what_next(plan: Plan, airflow: RunningAirflow, console: Console) -> None:
    home = _short(plan.home / "evergreen")
    evergreen = f"EVERGREEN_HOME={shlex.quote(home)} {_short(_script('evergreen'))}"
    connection = f"sqlite:///{plan.warehouse}"
    warehouse = f"AIRFLOW_CONN_FLIGHTS_WAREHOUSE={shlex.quote(connection)}"
    mlflow = f"{_short(_script('mlflow'))} ui --backend-store-uri sqlite:///{home}/mlflow.db"
    console.print(
        f"\nAirflow's UI: [bold]{airflow.url}[/]  user [bold]{airflow.user}[/]  "
        f"password [bold]{airflow.password}[/]\n\n"
        "What to try next:\n"
        f"  {evergreen} explain {plan.models[0]}\n"
        f"  {evergreen} history {plan.models[0]}\n"
        f"  {evergreen} as-of {plan.models[0]} 2013-05-15 --by data\n"
        f"  {evergreen} watch {WATCHED}\n"
        f"  {warehouse} {evergreen} replay {WATCHED} --from 2013-04-01 --to 2013-12-31\n"
        f"  {evergreen} audit\n"
        f"  {mlflow}\n\n"
        f"{_make_stop(plan.home)} ends it.",
        highlight=False,
        soft_wrap=True,
    )


def _script(name: str) -> Path:
    return Path(sys.executable).parent / name


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _make_stop(home: Path) -> str:
    if home == Path(".demo").absolute():
        return "[bold]make stop[/]"
    return f"[bold]python -m evergreen.demo.run --stop --home {home}[/]"


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(main())
