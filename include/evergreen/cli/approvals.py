"""`evergreen approvals`, `approve`, `reject`: the questions that wait for people, and their answers.

A run of Airflow is answered through Airflow's API, where a connection to it is set: then Airflow says
who that is and whether they may, and the task goes on at once. Else the account of the operating system
answers, in the ledger.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from rich.table import Table

from evergreen.approval import OS_USER, refusal
from evergreen.approval_questions import waiting
from evergreen.approval_results import Answer, Answered, AnswerWord, Asked
from evergreen.approval_words import in_place_of, of_whom, short, short_answer
from evergreen.cli.exit_codes import OK
from evergreen.cli.output import say, say_json, say_table
from evergreen.cli.person import person
from evergreen.cli.usage import UsageError
from evergreen.connections import from_environment
from evergreen.errors import AnswerRefused
from evergreen.names import did_you_mean, retrain_dag_id
from evergreen.ports import Ledger
from evergreen.results import to_json
from evergreen.run_keys import airflow_run
from evergreen.settings import Settings
from evergreen.steps.approve import answer
from evergreen.text import plain
from evergreen.wiring import open_ledger


def approvals(arguments: Namespace) -> int:
    """Print the questions that wait, of one model or of all."""
    with open_ledger(Settings.from_environment()) as ledger:
        found = waiting(ledger, datetime.now(UTC), arguments.name)
    if arguments.json:
        say_json([to_json(asked) for asked in found])
    elif not found:
        of = f" of {arguments.name}" if arguments.name else ""
        say(f"no release{of} waits for approval")
    else:
        say_table(_table(found))
        say(
            "evergreen explain MODEL tells the evidence; evergreen approve RUN, or reject RUN --why TEXT"
        )
    return OK


def approve(arguments: Namespace) -> int:
    """Agree to a release."""
    return _give(arguments, "approve")


def reject(arguments: Namespace) -> int:
    """Keep the champion, for good or until there is more data."""
    return _give(arguments, "more_data" if arguments.more_data else "reject")


def _give(arguments: Namespace, word: AnswerWord) -> int:
    settings = Settings.from_environment()
    now = datetime.now(UTC)
    with open_ledger(settings) as ledger:
        run_key, asked = _asked(ledger, arguments.run, now)
        evidence = arguments.evidence or _shown(asked)
        given = Answer(word, f"{OS_USER}{person()}", "cli", now, arguments.why, evidence)
        run_id = airflow_run(run_key)
        if asked is None or run_id is None or settings.airflow_connection is None:
            answered = answer(ledger, run_key, given)
            return _told(answered, arguments, run_id)
    return _through_airflow(settings.airflow_connection, asked, run_id, given, arguments)


def _asked(ledger: Ledger, named: str, now: datetime) -> tuple[str, Asked | None]:
    """Return the run that is meant and its question, None where it waits for nothing.

    Raises:
        UsageError: a model of which no run waits, or more than one.
    """
    found = waiting(ledger, now)
    keys = [asked.run_key for asked in found if named in (asked.run_key, asked.run_key.split("/")[0])]
    if named in keys or len(keys) == 1:
        run_key = named if named in keys else keys[0]
        return run_key, next(asked for asked in found if asked.run_key == run_key)
    if keys:
        raise UsageError(f"{len(keys)} runs of {named} wait, name one: {', '.join(keys)}")
    if "/" in named:
        return named, None
    names = [asked.run_key for asked in found]
    hint = did_you_mean(named, {key.split("/")[0] for key in names}) or (
        f"what waits: {', '.join(names[:10])}" if names else "nothing waits"
    )
    raise UsageError(f"no run of {named!r} waits for approval; {hint}")


def _shown(asked: Asked | None) -> str | None:
    """Return what an answer that names no evidence is about: a run's first question only.

    Raises:
        UsageError: the question was asked anew; who looked at an earlier one may not know of it.
    """
    if asked is None:
        return None
    if asked.number > 1:
        raise UsageError(
            f"the run asked anew (question {asked.number}): look at it, with evergreen explain "
            f"{asked.run_key.partition('/')[0]}, and say --evidence {short(asked)}"
        )
    return asked.evidence


def _through_airflow(
    connection_id: str, asked: Asked, run_id: str, given: Answer, arguments: Namespace
) -> int:
    from evergreen.airflow_answers import give

    connection = from_environment(connection_id)
    # What our own rules refuse needs no call; only Airflow knows by which id, or whose a token is.
    why = refusal(
        replace(asked, approvers=()),
        None,
        replace(given, who=connection.login or connection_id, how="airflow"),
    )
    if why is not None:
        raise AnswerRefused(
            why.what, where=f"run {asked.run_key}", got=why.got, allowed=why.allowed, fix=why.fix
        )
    user = give(connection, retrain_dag_id(asked.run_key.partition("/")[0]), run_id, asked, given)
    if arguments.json:
        say_json({"run_key": asked.run_key, "answer": given.answer, "who": user, "how": "airflow"})
    else:
        say(
            f"{asked.run_key}: {given.answer} by {user}, given to Airflow; its task approve goes on "
            "with it and writes it down"
        )
    return OK


def _told(answered: Answered, arguments: Namespace, run_id: str | None) -> int:
    if arguments.json:
        say_json(to_json(answered))
        return OK
    say(f"{answered.run_key}: {short_answer(answered)} (evidence {answered.evidence[:12]})")
    if run_id is None:
        say("the same evergreen run goes on with it")
    else:
        say(
            "it is in the ledger; Airflow's task approve does not know of it yet: clear that task, and "
            "the run goes on now, else at the deadline. With EVERGREEN_AIRFLOW_CONNECTION set, answers "
            "go through Airflow, and the run goes on at once"
        )
    return OK


def _table(found: Sequence[Asked]) -> Table:
    table = Table("run", "release", "asked", "until", "who may answer", "evidence", box=None)
    for asked in found:
        table.add_row(
            *map(
                plain,
                (
                    asked.run_key,
                    f"version {asked.version} {in_place_of(asked)}",
                    f"{asked.asked_at:%Y-%m-%d %H:%M}",
                    f"{asked.deadline:%Y-%m-%d %H:%M}",
                    of_whom(asked),
                    short(asked),
                ),
            )
        )
    return table
