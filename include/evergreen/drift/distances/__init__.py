"""Distances between two profiles of a column, from counts alone: one file each, one row in `DISTANCES`.

Every distance takes the baseline's shares `p`, shape `(k,)`, a window's shares `q`, shape `(..., k)`, so
that many windows are measured at once, and the cells' `positions`, shape `(k,)`, which only distances
that know how far apart cells lie look at. It returns `(...)`: 0 where the shares agree, never negative.
"""
