"""Sensors for anyone's DAG."""
