"""The gate: whether the challenger has proven itself. Evidence in, a `Comparison` out.

It knows no clock, no file and no client, and measures nothing: `evidence/` does. Every check answers
passed, failed or inconclusive; one failure keeps the champion, and what is inconclusive is no proof.
"""

from evergreen.gate.decision import compare, never_over_newer, refused
from evergreen.gate.protections import fit_to_serve

__all__ = ["compare", "fit_to_serve", "never_over_newer", "refused"]
