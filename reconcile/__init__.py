"""The oracle: holds everything that can be known of a run against everything else, and names what does not add up.

`reconcile(Sources(…))` gives a `Report`; `gather` and `judge` are its two halves. Load generators write a `Ledger`,
whoever follows agents' streams `Screens`; receivers have their own log (see the receiver kit's simulator).
"""

from reconcile.ledger import Ledger, Screens
from reconcile.oracle import Account, Report, Result, gather, judge, reconcile
from reconcile.source import SERVICES, Sources, Unseen

__all__ = [
    "SERVICES",
    "Account",
    "Ledger",
    "Report",
    "Result",
    "Screens",
    "Sources",
    "Unseen",
    "gather",
    "judge",
    "reconcile",
]
