"""Twelve secrets go through success and failure; then every byte that was left anywhere is searched."""

from __future__ import annotations

import base64
import html
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy

from evergreen import redaction, steps
from evergreen.connections import from_environment
from tests.contracts.mail_server import Mailbox, mail_server
from tests.contracts.web_server import WebServer, echo, response, web_server

WHERE = (
    "source password",
    "source extra",
    "refused source",
    "ledger",
    "tracking",
    "store key",
    "store URI",
    "smtp",
    "slack",
    "webhook",
    "airflow login",
    "airflow token",
)
CANARIES = {
    place: f"c4nary+{number:02d}/{place.replace(' ', '@')}&é" for number, place in enumerate(WHERE)
}
CANARIES["smtp"] = CANARIES["smtp"].removesuffix("é")  # a login of SMTP is ASCII
CLOSED = 9
"""A port of this machine at which nothing listens."""

MODEL = """\
schema_version: 1
name: churn
description: Will it?
owner: team@example.com
schedule: null
data:
  source: {type: sql, connection: warehouse, query: "QUERY"}
  time_column: at
  key: id
  label: {column: late}
  train_window: 2 months
  test_window: 1 month
  min_rows: 10
train:
  estimator: sklearn.linear_model.LogisticRegression
gate: {metric: log_loss, margin: 0.5}
retries: {attempts: 0}
alerts:
  - {type: slack, connection: slack, data_values: true}
  - {type: email, connection: smtp, to: [ops@example.com], data_values: true}
  - {type: webhook, connection: hook, private_network: true, data_values: true}
  - {type: log, data_values: true}
"""
QUERY = "SELECT * FROM events WHERE at >= :start AND at < :end"
TASKS = ("resolve_window", "ingest", "validate", "train", "evaluate", "register", "release", "report")


def forms(secret: str) -> dict[str, bytes]:
    """Return how a secret may be written; made apart from what the redactor knows."""
    whole = secret.encode()
    found = {
        "plain": whole,
        "quoted": quote(secret, safe="").encode(),
        "quoted small": quote(secret, safe="").lower().encode(),
        "quoted as a form": quote_plus(secret).encode(),
        "JSON": json.dumps(secret)[1:-1].encode(),
        "repr of bytes": repr(whole)[2:-1].encode(),
        "ascii": ascii(secret)[1:-1].encode(),
        "hex": whole.hex().encode(),
        "HTML": html.escape(secret).encode(),
        "UTF-16": secret.encode("utf-16-le"),
        "half of it": secret[: len(secret) // 2 + 3].encode(),
    }
    for name, encoded in in_base64(secret).items():
        found[name] = encoded[4:-4]  # what comes before and after may decide the rest
    return found


def in_base64(secret: str) -> dict[str, bytes]:
    """Return the base64 of texts that the secret stands in, beginning at each place among three."""
    return {
        f"base64 {shift}": base64.b64encode(b"\0" * shift + secret.encode() + b"\0")
        for shift in range(3)
    }


class World:
    """An installation with secrets in every setting and connection; it keeps what its tasks return."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, web: WebServer, mail: Mailbox
    ) -> None:
        self.folder, self.web, self.mail = folder, web, mail
        self._monkeypatch = monkeypatch
        self.returned: list[str] = []
        self.model = folder / "models" / "churn.yaml"
        self.model.parent.mkdir()
        self.write_model(QUERY)
        with closing(sqlite3.connect(folder / "warehouse.db")) as connection, connection:
            connection.execute("CREATE TABLE events (id, at, x, late)")
            connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", _events())
        self.set("EVERGREEN_HOME", str(folder / "home"))
        self.set("EVERGREEN_AIRFLOW_CONNECTION", "airflow")
        self.connect(
            "warehouse", "sqlite", "source password", extra={"api_key": CANARIES["source extra"]}
        )
        self.connect("slack", "slackwebhook", "slack", schema="http", host=f"127.0.0.1:{web.port}")
        self.connect("hook", "http", "webhook", schema="http", host="127.0.0.1", port=web.port)
        plain = {"disable_ssl": True, "disable_tls": True, "from_email": "evergreen@example.com"}
        self.connect("smtp", "smtp", "smtp", host="127.0.0.1", port=mail.port, login="e", extra=plain)
        self.connect("airflow", "http", "airflow login", schema="http", host="127.0.0.1", port=web.port)

    def set(self, name: str, value: str) -> None:
        self._monkeypatch.setenv(name, value)

    def connect(self, name: str, kind: str, secret: str, **fields: Any) -> None:
        """Put a connection into the environment; that of the warehouse is to its file."""
        if kind == "sqlite":
            fields["host"] = str(self.folder / "warehouse.db")
        connection = {"conn_type": kind, "password": CANARIES[secret], **fields}
        self.set(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))

    def write_model(self, query: str) -> None:
        self.model.write_text(MODEL.replace("QUERY", query))

    def execute(self, task: str, run_id: str) -> None:
        """Run one operator as Airflow would, and keep what its exception or its result says."""
        from evergreen_airflow.factory import OPERATORS
        from tests.airflow.test_run_context import FakeDagRun, RunType

        operator = OPERATORS[task](
            task_id=task, model="churn", model_file=self.model, retries=0, lease_waits=0
        )
        run = FakeDagRun(RunType.MANUAL, run_id=run_id, run_after=datetime(2024, 5, 1, tzinfo=UTC))
        run.dag_id = "churn__retrain"  # type: ignore[attr-defined]
        ti = SimpleNamespace(
            try_number=1, max_tries=0, get_task_states=lambda dag_id, run_ids: {run_ids[0]: {}}
        )
        context = {"dag_run": run, "ti": ti, "params": {"as_of": "2024-04-01"}}
        try:
            returned = operator.execute(context)  # type: ignore[arg-type]
        except Exception as exc:  # noqa: BLE001 - Airflow would show it, whatever it is
            self.returned.append(f"{type(exc).__name__}: {exc} {exc.__cause__!r}")
        else:
            self.returned.append(json.dumps(returned, default=repr))

    def left_over(self) -> Iterator[tuple[str, bytes]]:
        """Yield everything that a task, a message or a file now holds, with where it is."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.folder)), path.read_bytes()
        for number, text in enumerate(self.returned):
            yield f"XCom or exception {number}", text.encode()
        for request in self.web.requests:
            if "/auth/token" not in request.line:
                yield f"body of {request.line[:9]}", request.body
        for content in self.mail.raw:
            yield "mail", content
        for letter in self.mail.mails:
            for part in letter.walk():
                if not part.is_multipart():
                    yield "part of a mail", part.get_payload(decode=True) or b""


def _events() -> Iterator[tuple[int, str, float, int]]:
    for day in range(100):
        late = (day % 7 > 3) is (day % 10 > 0)  # something to learn, with some noise
        yield day, str(date(2024, 1, 1) + timedelta(days=day)), day % 7 + 0.5, int(late)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(redaction, "_secrets", {})
    with ExitStack() as stack:
        web = stack.enter_context(web_server())
        mail = stack.enter_context(mail_server(password=CANARIES["smtp"]))
        yield World(tmp_path, monkeypatch, web, mail)


def succeed(world: World) -> None:
    token = json.dumps({"access_token": CANARIES["airflow token"]}).encode()
    world.web.answer(response("200 OK", token))
    for task in TASKS:
        world.execute(task, "good")
    assert json.loads(world.returned[-1])["outcome"] == "promoted"


def fail(world: World, run_id: str, *tasks: str) -> None:
    for task in (*tasks, "report"):
        world.execute(task, run_id)


def sinks_fail(world: World) -> None:
    world.web.answer(echo("500 Down"))
    world.connect("smtp", "smtp", "smtp", host="127.0.0.1", port=CLOSED, extra={"from_email": "a@b.c"})
    fail(world, "sinks", "resolve_window")


def source_is_refused(world: World) -> None:
    world.connect("warehouse", "postgres", "refused source", host="127.0.0.1", port=CLOSED, login="bob")
    fail(world, "refused", "resolve_window", "ingest")
    world.connect("warehouse", "sqlite", "source password")


def query_is_broken(world: World) -> None:
    world.write_model("SELECT * FROM nowhere WHERE at >= :start AND at < :end")
    fail(world, "broken", "resolve_window", "ingest")
    world.write_model(QUERY)


def step_raises(raised: Callable[[], Exception]) -> Callable[[World], None]:
    """Return a run in which a step raises what a library might, with secrets in it."""

    def act(world: World) -> None:
        def stands_in(*_: Any, **__: Any) -> Any:
            for connection in ("warehouse", "smtp", "slack"):
                from_environment(connection)  # who has a secret had it from its connection
            raise raised() from ValueError(f"caused by {CANARIES['source extra']}")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(steps, "ingest", stands_in)
            fail(world, raised.__name__, "resolve_window", "ingest")

    return act


def unexpected() -> Exception:
    return RuntimeError({"args": [CANARIES["source password"], CANARIES["smtp"]]}, CANARIES["slack"])


def quoting_the_dsn() -> Exception:
    dsn = sqlalchemy.URL.create("postgresql", "bob", CANARIES["source password"], "h", 5432, "db")
    shown = dsn.render_as_string(hide_password=False)
    return sqlalchemy.exc.OperationalError(f"SELECT /* {shown} */ 1", {"p": shown}, Exception(shown))


def encoded() -> Exception:
    secret = CANARIES["source password"]
    whole = forms(secret) | in_base64(secret)
    written = {
        name: form.decode() for name, form in whole.items() if name not in {"UTF-16", "half of it"}
    }
    return RuntimeError(json.dumps({"password": secret}), *written.values())


def very_long() -> Exception:
    secret = CANARIES["source password"]
    return RuntimeError("".join("x" * width + secret for width in range(450, 520)))


def ledger_is_refused(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_LEDGER", _url("postgresql+psycopg", "ledger"))
        fail(world, "ledger", "resolve_window")


def tracking_is_refused(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_TRACKING", _url("postgresql+psycopg", "tracking"))
        fail(world, "tracking", "resolve_window", "ingest", "validate", "train")


def store_is_refused(world: World) -> None:
    service = {"endpoint_url": f"http://127.0.0.1:{CLOSED}", "region_name": "us-east-1"}
    world.connect("store", "aws", "store key", login="AKIAEXAMPLE", extra=service)
    login = f"key:{quote(CANARIES['store URI'], safe='')}@"
    for run_id, uri in (("store", "s3://bucket/x"), ("store with a login", f"s3://{login}bucket/x")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EVERGREEN_STORE", uri)
            patch.setenv("EVERGREEN_STORE_CONNECTION", "store")
            fail(world, run_id, "resolve_window", "ingest")


def _url(scheme: str, place: str) -> str:
    return f"{scheme}://bob:{quote(CANARIES[place], safe='')}@127.0.0.1:{CLOSED}/db"


PATHS: tuple[Callable[[World], None], ...] = (
    succeed,
    source_is_refused,
    query_is_broken,
    step_raises(unexpected),
    step_raises(quoting_the_dsn),
    step_raises(encoded),
    step_raises(very_long),
    ledger_is_refused,
    tracking_is_refused,
    store_is_refused,
    sinks_fail,
)


@pytest.mark.filterwarnings("ignore")  # of Airflow's own modules, as skops looks through all there are
def test_no_byte_of_a_secret_is_left_anywhere(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="evergreen")
    caplog.set_level(logging.DEBUG, logger="evergreen_airflow")
    for act in PATHS:
        act(world)
    captured = capfd.readouterr()
    places = [
        *world.left_over(),
        ("log", caplog.text.encode()),
        ("stdout", captured.out.encode()),
        ("stderr", captured.err.encode()),
    ]
    leaks = {
        f"{name} as {form} in {place}: …{content[max(0, content.index(shown) - 60) :][:160]!r}"
        for place, content in places
        for name, secret in CANARIES.items()
        for form, shown in forms(secret).items()
        if shown in content
    }
    assert leaks == set()
    assert len(places) > 60
    assert world.mail.raw
    assert len(world.web.requests) > 3


def test_the_search_would_find_every_form(world: World) -> None:
    secret = CANARIES["ledger"]
    for form, shown in forms(secret).items():
        (world.folder / "found").write_bytes(b"before " + shown + b" after")
        assert any(shown in content for place, content in world.left_over() if place == "found"), form
    with suppress(RuntimeError):
        raise RuntimeError(secret)
