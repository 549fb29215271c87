"""How the departments behave under chaos: quick, and sometimes at fault."""

from collections.abc import Mapping
from typing import Any, Final

# Seconds and shares of work orders or webhooks; see the receiver kit's README.
QUICK: Final[Mapping[str, Any]] = {
    "accept_after": {"median": 0.2, "spread": 0.6, "longest": 3},
    "contact_after": {"median": 0.2, "spread": 0.6, "longest": 3},
    "answer_after": {"median": 0.5, "spread": 0.6, "longest": 4},
    "reply_after": {"median": 0.2, "spread": 0.4, "longest": 1},
    "rule_after": {"median": 0.2, "spread": 0.4, "longest": 1},
    "patience": 5,
}
FAULTY: Final[Mapping[str, Any]] = {
    "returns": 0.04,
    "upholds": 0.7,
    "asks": 0.04,
    "adds_evidence": 0.05,
    "fails": 0.01,
    "throttles": 0.01,
    "retry_after": 1,
}
