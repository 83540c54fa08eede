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


def test_trusted_types_may_be_written_with_spaces():
    settings = Settings.from_environment({"EVERGREEN_TRUSTED_TYPES": " a.B, c.D ,"})
    assert settings.trusted_types == ("a.B", "c.D")


@pytest.mark.parametrize("text", ["ten", "-4", "0", "nan", "inf"])
def test_a_lease_time_that_makes_no_sense_is_refused(text: str):
    with pytest.raises(BadConfiguration, match="EVERGREEN_LEASE_SECONDS"):
        Settings.from_environment({"EVERGREEN_LEASE_SECONDS": text})
