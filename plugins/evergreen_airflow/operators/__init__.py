"""One operator per step of a retrain; each file, task and step has the same name."""
