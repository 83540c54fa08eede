"""Training: estimators by name, columns made ready for them, metrics, plots, and the run's log."""

import os

# OpenMP's threads wait by spinning, which on shared cores makes a small fit a hundred times slower. The
# policy is read once, when scikit-learn is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
