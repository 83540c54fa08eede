"""Trained models as files: fetched, verified, loaded and run."""
