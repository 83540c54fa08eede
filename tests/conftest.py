"""Fixtures that any test may ask for, and how tests are dealt out to processes."""

import gc

import pytest

from tests.integration.mlflow_store import mlflow_store
from tests.integration.postgres import postgres_database, postgres_url
from tests.integration.s3 import s3_bucket, s3_endpoint

__all__ = ["mlflow_store", "postgres_database", "postgres_url", "s3_bucket", "s3_endpoint"]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let one process run all that starts an Airflow, and each module stay in one.

    Several processes are at work only where `-n` asks for them. The group is given to each test as it is
    found, for xdist reads it before other hooks see the whole list.
    """
    alone = item.get_closest_marker("real_airflow") is not None
    item.add_marker(pytest.mark.xdist_group("airflow" if alone else item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was collected: all of it stays to the end anyway."""
    gc.collect()
    gc.freeze()
