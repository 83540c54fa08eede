"""Replay: scoring, watch and retrains over recorded history, without a trace in the installation.

The very same steps run against a scratch workspace: a ledger, a store and a prediction log in a
throw-away folder, models that stay in this process's memory, and the model's own data source, read only.
"""
