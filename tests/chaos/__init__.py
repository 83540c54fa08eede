"""A fleet of small models on a real Airflow, under faults: `python -m tests.chaos`, or `make chaos`."""
