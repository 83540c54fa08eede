"""What people are told, when, and in which words: pure functions of values.

    entry of the ledger → Event → Incident → Message → text of a channel

Nothing here reads a clock, a ledger or a file, or sends anything: `steps/alerts/` takes in what the
ledger holds and hands messages to the sinks.
"""
