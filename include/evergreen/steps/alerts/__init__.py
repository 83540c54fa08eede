"""Telling people: take in what the ledger holds, deliver what is due, note what nothing else tells."""

from evergreen.steps.alerts.deliver import Delivered, deliver
from evergreen.steps.alerts.notice import acknowledge, notice
from evergreen.steps.alerts.take_in import take_in

__all__ = ["Delivered", "acknowledge", "deliver", "notice", "take_in"]
