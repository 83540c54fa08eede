"""The demo: real flights, the real Airflow, and a starter that tests use as well."""
