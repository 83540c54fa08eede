"""Profiles: mergeable counts of what rows hold, column by column, in cells that a baseline laid out.

Two profiles of one layout add up, exactly and in any order, so that watching a model never reads its
training data again and memory does not grow with rows.
"""
