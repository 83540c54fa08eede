"""Settings mean the same thing in every process that reads them."""

from pathlib import Path

import pytest

from evergreen.errors import BadConfiguration
from evergreen.settings import Settings


def test_without_variables_everything_lies_in_one_folder():
    settings = Settings.from_environment({"EVERGREEN_HOME": "/srv/evergreen"})
    assert settings.ledger_url == "sqlite:////srv/evergreen/ledger.db"
    assert settings.store_uri == "/srv/evergreen/store"
    assert settings.releases == Path("/srv/evergreen/releases")
    assert settings.artifact_uri == "file:///srv/evergreen/artifacts"


def test_relative_folders_are_anchored_where_the_process_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment(
        {"EVERGREEN_HOME": "home", "EVERGREEN_STORE": "store", "EVERGREEN_RELEASES": "releases"}
    )
    assert settings.home == tmp_path / "home"
    assert settings.store_uri == str(tmp_path / "store")
    assert settings.releases == tmp_path / "releases"


def test_a_bucket_stays_as_it_is():
    assert Settings.from_environment({"EVERGREEN_STORE": "s3://b/x"}).store_uri == "s3://b/x"


@pytest.mark.parametrize("tracking", ["http://mlflow:5000", "https://mlflow.example.com/x", "HTTP://m"])
def test_models_lie_where_a_tracking_server_keeps_them_unless_a_setting_says_so(tracking: str):
    unsaid = {"EVERGREEN_TRACKING": tracking}
    assert Settings.from_environment(unsaid).artifact_uri is None
    said = unsaid | {"EVERGREEN_ARTIFACTS": "s3://b/artifacts"}
    assert Settings.from_environment(said).artifact_uri == "s3://b/artifacts"


def test_models_lie_in_our_own_folder_where_a_database_keeps_the_runs():
    env = {"EVERGREEN_TRACKING": "postgresql://db/mlflow", "EVERGREEN_HOME": "/srv/evergreen"}
    assert Settings.from_environment(env).artifact_uri == "file:///srv/evergreen/artifacts"


def test_trusted_types_may_be_written_with_spaces():
    settings = Settings.from_environment({"EVERGREEN_TRUSTED_TYPES": " a.B, c.D ,"})
    assert settings.trusted_types == ("a.B", "c.D")


@pytest.mark.parametrize("text", ["ten", "-4", "0", "nan", "inf"])
def test_a_lease_time_that_makes_no_sense_is_refused(text: str):
    with pytest.raises(BadConfiguration, match="EVERGREEN_LEASE_SECONDS"):
        Settings.from_environment({"EVERGREEN_LEASE_SECONDS": text})


def test_the_fleets_file_is_anchored_where_the_process_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({"EVERGREEN_ALERTS": "a.yaml"}).alerts == tmp_path / "a.yaml"
    assert Settings.from_environment({}).alerts is None


def test_the_address_of_airflows_pages_ends_without_a_slash():
    settings = Settings.from_environment({"EVERGREEN_AIRFLOW_URL": "https://airflow.example.com/x/"})
    assert settings.airflow_url == "https://airflow.example.com/x"
    assert Settings.from_environment({"EVERGREEN_AIRFLOW_URL": ""}).airflow_url is None


@pytest.mark.parametrize(
    "text",
    [
        "airflow.example.com",
        "ftp://airflow.example.com",
        "javascript:alert(1)",
        "https://bob:hunter22@airflow.example.com",
        "https://airflow.example.com?token=hunter22",
        "https://airflow.example.com/#x",
        "https://[::1",
        "https:// airflow",
        "https://",
    ],
)
def test_an_address_that_may_not_stand_in_a_message_is_refused_without_its_password(text: str):
    with pytest.raises(BadConfiguration, match="EVERGREEN_AIRFLOW_URL") as raised:
        Settings.from_environment({"EVERGREEN_AIRFLOW_URL": text})
    assert "hunter22" not in str(raised.value)
