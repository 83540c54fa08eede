"""Every system call of every step is cut off, one at a time, and nothing may be lost.

`python -m tests.knife` (`make knife`) runs it. A *part* is a step or an operation of the ledger; a
*point* is one of its write-like calls; a *cut* is what happens there: the process is killed, the disk
is full, the disk is broken, the database's connection breaks. After one retry an oracle that shares no
code with Evergreen compares what is left with what an undisturbed run leaves.
"""
