"""Fixtures that any test may ask for."""

from tests.integration.mlflow_store import mlflow_store
from tests.integration.postgres import postgres_database, postgres_url
from tests.integration.s3 import s3_bucket, s3_endpoint

__all__ = ["mlflow_store", "postgres_database", "postgres_url", "s3_bucket", "s3_endpoint"]
