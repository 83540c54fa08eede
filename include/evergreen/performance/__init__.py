"""How well the champion does since its release: measured by day, or estimated before labels are known.

Functions of values, like `evidence`: no clock, no file, no client.
"""
