"""Triggers; they run in the triggerer, which finds them in the installed package."""
