"""The watch's judgement: how far a window lies from the baseline, and whether chance explains it. Pure.

`measure` gives distances with what chance alone reaches; `judge` holds them against the owner's budget
of false alarms. No clock, no file, no client.
"""
