"""What training gives: estimators by name, columns made ready for them, metrics and plots. No MLflow."""
