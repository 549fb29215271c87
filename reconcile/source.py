"""Where the oracle looks: databases, Kafka, and the files that generators, receivers and screens have written.

Errors:
    Unseen      something could not be looked at, so nothing can be said
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

SERVICES = ("intake", "classification", "dispatch", "sla_timer", "notification")


class Unseen(Exception):
    """Something could not be looked at; says what and why."""


@dataclass(frozen=True)
class Sources:
    """Everything a reconciliation compares.

    `settle`: a ticket that moved less than so many seconds ago is left out; 0 asks that everything is at rest.
    `closed`: every ticket must have been answered and closed, and nothing may be left to be done.
    `whole`: ledgers, receipts and streams together name everything that was offered, received and shown; without it
    only what they do name is compared (departments and agents that stand in none of them are not asked for).
    `since`, `until`: only tickets born then, by the time in their ids.
    """

    databases: Mapping[str, str]  # service → its database, under a role that may read its schema
    kafka: Mapping[str, Any]  # aiokafka's connection arguments, such as {"bootstrap_servers": "127.0.0.1:9092"}
    ledgers: Sequence[Path] = ()
    receipts: Sequence[Path] = ()  # the receivers' logs
    streams: Sequence[Path] = ()  # what agents were shown
    since: datetime | None = None
    until: datetime | None = None
    settle: float = 0.0
    closed: bool = False
    whole: bool = False
    scratch: Path | None = None  # file to work in and to keep; None: a temporary one
    services: tuple[str, ...] = field(default=SERVICES)

    @classmethod
    def of(cls, database_url: str, kafka: str, **more: Any) -> "Sources":
        """One database for all services (the owner's address), and Kafka without access control."""
        return cls(dict.fromkeys(SERVICES, database_url), {"bootstrap_servers": kafka}, **more)
