"""Fixtures that any test may ask for."""

from tests.integration.postgres import postgres_database, postgres_url

__all__ = ["postgres_database", "postgres_url"]
