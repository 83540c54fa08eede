"""The only modules that speak to databases, stores, MLflow and Great Expectations."""
