"""Connections and settings as Airflow knows them."""

import json

import pytest

from evergreen.errors import BadConfiguration


@pytest.fixture
def connection(monkeypatch):
    from evergreen_airflow.connections import from_airflow

    def of(text: str):
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", text)
        return from_airflow("warehouse")

    return of


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////data/flights.db",
        json.dumps({"conn_type": "sqlite", "host": "/data/flights.db"}),
        json.dumps({"conn_type": "sqlite", "schema": "/data/flights.db"}),
    ],
)
def test_a_sqlite_connection_gives_its_file_however_it_is_written(connection, text):
    assert str(connection(text).sqlalchemy_url()) == "sqlite:////data/flights.db"


def test_a_database_connection_gives_a_url_with_every_part(connection):
    url = connection("postgres://ev%40l:p%40ss%2Fword@db.example.com:5433/warehouse").sqlalchemy_url()
    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg", "ev@l", "p@ss/word")
    assert (url.host, url.port, url.database) == ("db.example.com", 5433, "warehouse")


def test_extras_come_along(connection):
    text = json.dumps({"conn_type": "aws", "extra": {"endpoint_url": "http://localhost:9000"}})
    assert connection(text).extra == {"endpoint_url": "http://localhost:9000"}


def test_a_password_of_a_connection_is_masked_from_then_on(connection):
    from evergreen.redaction import redact

    connection("postgres://bob:correct-horse-battery@db/warehouse")
    assert redact("could not log in with correct-horse-battery") == "could not log in with ***"


def test_a_missing_connection_says_where_was_looked(monkeypatch):
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from evergreen_airflow.connections import from_airflow

    def nowhere(connection_id: str):
        raise AirflowNotFoundException(connection_id)

    monkeypatch.setattr(BaseHook, "get_connection", nowhere)
    with pytest.raises(
        BadConfiguration, match=r"AIRFLOW_CONN_NOWHERE .*airflow connections add nowhere"
    ):
        from_airflow("nowhere")


def test_settings_come_from_airflow_with_our_variables_first(monkeypatch):
    from evergreen_airflow.configuration import settings_from_airflow

    monkeypatch.setenv("AIRFLOW__EVERGREEN__HOME", "/from/airflow")
    monkeypatch.setenv("AIRFLOW__EVERGREEN__LEASE_SECONDS", "90")
    monkeypatch.setenv("EVERGREEN_LEASE_SECONDS", "30")
    settings = settings_from_airflow()
    assert (str(settings.home), settings.lease_seconds) == ("/from/airflow", 30.0)
    assert settings.ledger_url == "sqlite:////from/airflow/ledger.db"


def test_a_setting_that_cannot_be_read_names_the_places_to_look_at(monkeypatch):
    from evergreen_airflow.configuration import settings_from_airflow

    monkeypatch.setenv("EVERGREEN_LEASE_SECONDS", "soon")
    with pytest.raises(BadConfiguration, match=r"airflow.cfg \[evergreen\] or the variables EVERGREEN_"):
        settings_from_airflow()
