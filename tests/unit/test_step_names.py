"""The names of the steps are said once; what the ledger keeps of each goes by them."""

from evergreen.step_names import RETRAIN_STEPS
from evergreen.steps.summary import RESULT_OF


def test_every_step_of_a_retrain_but_its_report_ends_with_an_entry():
    assert (*RESULT_OF, "report") == RETRAIN_STEPS
