"""Fixtures that any test may ask for, and how tests are dealt out to processes."""

import pytest

from tests.integration.mlflow_store import mlflow_store
from tests.integration.postgres import postgres_database, postgres_url
from tests.integration.s3 import s3_bucket, s3_endpoint

__all__ = ["mlflow_store", "postgres_database", "postgres_url", "s3_bucket", "s3_endpoint"]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let one process run all that starts an Airflow, from the beginning, and each module stay in one.

    Several processes are at work only where `-n` asks for them; the order stays as it is without.
    """
    if getattr(config.option, "numprocesses", None) is None and not hasattr(config, "workerinput"):
        return
    for item in items:
        alone = item.get_closest_marker("real_airflow") is not None
        item.add_marker(pytest.mark.xdist_group("airflow" if alone else item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("real_airflow") is None)
