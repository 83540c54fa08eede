"""The command line: one table of commands, served by `evergreen` and by `airflow evergreen`."""
