"""Training: estimators by name, columns made ready for them, metrics, plots, and the run's log."""
