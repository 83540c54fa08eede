"""What the gate rests on: measures of models on rows, as functions of values.

Nothing here decides, reads a file or knows a port. NumPy, SciPy, scikit-learn, fairlearn and matplotlib
may be used, inside functions where they are heavy. `gather` puts the parts together; `gate/` judges.
"""
