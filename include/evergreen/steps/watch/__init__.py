"""A check of the watch, step by step: profile, measure, judge, request.

Like the retrain's steps: each finds what an earlier try made, and reads its inputs from the ledger by
the check's run key (`MODEL/monitor/…`). All hold the model's lease for the duty `monitor`, so that a
check never waits for a retrain nor the other way round.
"""
