"""One operator per step of a DAG; each file, task and step has the same name."""
