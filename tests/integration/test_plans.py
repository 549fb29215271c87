"""What hot statements read, on tables of three months: a bounded number of rows, whatever lies beside them.

Rows are counted, not seconds. A statement that is new on a hot path gets its line here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from libs.shared import bus, command, db, relay, run
from libs.shared.events import uuid7
from libs.shared.keep import first_id, midnight, start
from libs.shared.service import Service
from services.classification import store as classification
from services.dispatch import store as dispatch
from services.dispatch.store import owner
from services.intake import store as intake
from services.intake import vault
from services.intake.store import secret
from services.notification.store import channel, inbox
from services.sla_timer import store as sla
from services.sla_timer.store import timer
from tests import plan
from tests.integration import filled
from tests.running import harness

BATCH = 50  # tickets of one call
SOME = f" ORDER BY random() LIMIT {BATCH}"
SMALL = 300  # rows of tables that do not grow: endpoints, channels
NOW = datetime.now(UTC)
FAR = datetime(9999, 1, 1, tzinfo=UTC)
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True)
class World:
    """Some of what lies in a filled service: rows by what they were drawn from."""

    rows: Mapping[str, list[Any]]

    def column(self, table: str, name: str) -> list[Any]:
        """That column of the rows drawn from a table."""
        return [getattr(row, name) for row in self.rows[table]]


def fresh(count: int = BATCH) -> list[UUID]:
    return [uuid7(NOW) for _ in range(count)]


def texts(what: str, count: int = BATCH) -> list[str]:
    return [f"{what}{n}" for n in range(count)]


def records(**columns: list[Any]) -> str:
    """Columns as a JSON list of objects."""
    return json.dumps(
        [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], default=str
    )


KERNEL = (
    ("lock", db.LOCK, lambda w: {"keys": sorted(map(str, w.column("ticket", "ticket_id")))}),
    (
        "publish",
        db.PUBLISH,
        lambda w: {
            "ids": fresh(),
            "topics": texts("t"),
            "keys": list(map(str, w.column("ticket", "ticket_id"))),
            "types": texts("x"),
            "backs": [0] * BATCH,
            "parents": texts("p"),
            "bodies": [b"{}"] * BATCH,
            "now": NOW,
        },
    ),
    ("hold", db.HOLD, lambda w: {"name": "relay", "owner": "o", "seconds": 10}),
    (
        "fence",
        bus.FENCE,
        lambda w: {
            "topics": ["zhida.filled.v1"] * 12,
            "partitions": list(range(12)),
            "starts": [7] * 12,
            "stops": [9] * 12,
        },
    ),
    ("claim", bus.CLAIM, lambda w: {"ids": fresh(), "keys": texts("k"), "watched": texts("k")}),
    ("pending", relay.PENDING, lambda w: {"floor": 19_900, "gaps": list(range(1, 50))}),
    ("forget", relay.FORGET, lambda w: {"ids": list(range(1, BATCH + 1))}),
    ("stored", command.STORED, lambda w: {"principals": texts("p"), "keys": texts("")}),
    (
        "store",
        command.STORE,
        lambda w: {
            "principals": texts("q"),
            "keys": texts("k"),
            "fingerprints": [b"x"] * BATCH,
            "statuses": [200] * BATCH,
            "bodies": ["{}"] * BATCH,
            "now": NOW,
        },
    ),
)

INTAKE = (
    (
        "accept",
        intake.ACCEPT,
        lambda w: {
            "ids": fresh(),
            "channels": ["95598"] * BATCH,
            "references": texts("new"),
            "agents": texts("a"),
            "titles": texts("t"),
            "texts": texts("t"),
            "business_types": [None] * BATCH,
            "objects": [None] * BATCH,
            "areas": [None] * BATCH,
            "addresses": [None] * BATCH,
            "customers": [None] * BATCH,
            "stars": [3] * BATCH,
            "sensitives": [False] * BATCH,
            "openings": [NOW] * BATCH,
            "takers": texts("h"),
            "wholes": [None] * BATCH,
            "hot_events": [None] * BATCH,
            "now": NOW,
        },
        6 * BATCH,
    ),
    ("wholes", intake.WHOLES, lambda w: {"ids": w.column("ticket", "ticket_id")}),
    (
        "known",
        intake.KNOWN,
        lambda w: {"channels": ["95598"] * BATCH, "references": w.column("ticket", "external_ref")},
        6 * BATCH,
    ),
    ("standings", intake.STANDINGS, lambda w: {"ids": w.column("ticket", "ticket_id")}),
    (
        "move",
        intake.MOVE,
        lambda w: {
            "standings": records(
                ticket_id=w.column("ticket", "ticket_id"),
                stage=["closed"] * BATCH,
                since=[NOW] * BATCH,
                reached=[{}] * BATCH,
                orders=[{}] * BATCH,
                transfers=[0] * BATCH,
            )
        },
    ),
    ("ticket", intake.TICKET, lambda w: {"ticket_id": w.column("ticket", "ticket_id")[0]}, 4),
    ("amendments", intake.AMENDMENTS, lambda w: {"ticket_id": w.column("ticket", "ticket_id")[0]}, 4),
    ("by_reference", intake.BY_REFERENCE, lambda w: {"channel": "95598", "external_ref": "R77"}, 4),
    ("by_time", intake.BY_TIME, lambda w: {"low": FIRST, "before": LAST, "limit": 50}),
    ("by_stage", intake.BY_STAGE, lambda w: {"stage": "assigned", "low": FIRST, "before": LAST, "limit": 50}),
    ("secrets", secret.SECRETS, lambda w: {"ticket_id": w.column("ticket", "ticket_id")[0]}, 4),
    ("rejections", secret.REJECTIONS, lambda w: {"before": LAST, "limit": 50}),
)

CLASSIFICATION = (
    (
        "add",
        classification.ticket.ADD,
        lambda w: {
            "ids": fresh(),
            "tickets": ["{}"] * BATCH,
            "states": ["review"] * BATCH,
            "situations": texts("s"),
            "matrix_versions": texts("m"),
            "model_versions": [None] * BATCH,
            "probabilities": [1.0] * BATCH,
            "margins": [1.0] * BATCH,
            "words": texts("w"),
            "deciders": texts("d"),
            "business_types": texts("b"),
            "objects": texts("o"),
            "urgencies": texts("u"),
            "risks": texts("r"),
            "firsts": [None] * BATCH,
            "repeats": [0] * BATCH,
            "sketches": [b""] * BATCH,
            "keys": list(range(BATCH)),
            "key_ids": fresh(),
            "knowns": [0] * BATCH,
            "watched": fresh(),
            "categories": texts("c"),
            "places": texts("p"),
            "now": NOW,
        },
        8 * BATCH,
    ),
    (
        "earlier",
        classification.repeat.EARLIER,
        lambda w: {
            "key_ids": w.column("trace", "ticket_id"),
            "keys": w.column("trace", "key"),
            "knowns": [0] * BATCH,
            "mosts": [8] * BATCH,
            "lows": [first_id(NOW - timedelta(days=30))] * BATCH,
            "highs": [LAST] * BATCH,
            "ids": w.column("trace", "ticket_id"),
        },
        20 * BATCH,
    ),
    (
        "chain",
        classification.repeat.CHAIN,
        lambda w: {"first": w.column("ticket", "id")[0], "after": 0, "limit": 50},
    ),
    ("arrived", classification.hot_event.ARRIVED, lambda w: {"floor": FIRST}, 4),
    (
        "take",
        classification.hot_event.TAKE,
        lambda w: {"floor": FIRST, "limit": BATCH},
        6 * BATCH,
    ),
    (
        "near",
        classification.hot_event.NEAR,
        lambda w: {
            "places": ["3201"],
            "most": 30,
            "since": NOW,
        },
        12 * BATCH,
    ),
    ("near_all", classification.hot_event.NEAR, lambda w: {"places": None, "most": 30, "since": NOW}, 12 * BATCH),
    (
        "count",
        classification.hot_event.COUNT,
        lambda w: {
            "places": w.column("ticket", "place"),
            "lows": [first_id(NOW - timedelta(days=30))] * BATCH,
            "highs": [LAST] * BATCH,
        },
        6 * BATCH,
    ),
    (
        "crowds",
        classification.hot_event.CROWDS,
        lambda w: {
            "places": w.column("ticket", "place"),
            "lows": [first_id(NOW - timedelta(days=30))] * BATCH,
            "highs": [LAST] * BATCH,
            "most": 500,
        },
        12 * BATCH,
    ),
    ("usual", classification.hot_event.USUAL, lambda w: {"categories": ["C1", "C2"], "places": ["3201"] * 2}, 400),
    (
        "learn",
        classification.hot_event.LEARN,
        lambda w: {
            "categories": texts("C"),
            "places": ["3201"] * BATCH,
            "hours": [7] * BATCH,
            "weeks": [2901] * BATCH,
            "counts": [3.0] * BATCH,
            "keep": 0.75,
        },
    ),
    (
        "join",
        classification.hot_event.JOIN,
        lambda w: {
            "ids": fresh(),
            "events": (w.column("hot_event", "hot_event_id") * BATCH)[:BATCH],
            "similarities": [0.5] * BATCH,
            "by": "b",
            "reason": None,
            "again": False,
            "now": NOW,
        },
        8 * BATCH,
    ),
    (
        "leave",
        classification.hot_event.LEAVE,
        lambda w: {
            "ids": w.column("hot_member", "ticket_id"),
            "hot_event_id": w.column("hot_member", "hot_event_id")[0],
            "by": "b",
            "reason": None,
            "now": NOW,
        },
    ),
    ("memberships", classification.hot_event.MEMBERSHIPS, lambda w: {"ids": w.column("hot_member", "ticket_id")}),
    ("lately", classification.hot_event.LATELY, lambda w: {"since": first_id(NOW - timedelta(hours=2))}),
    (
        "close",
        classification.hot_event.CLOSE,
        lambda w: {"ids": w.column("hot_member", "hot_event_id"), "by": "b", "reason": None, "now": NOW},
    ),
    ("due", classification.hot_event.DUE, lambda w: {"least": 20}, 40),
    (
        "fold",
        classification.hot_event.FOLD,
        lambda w: {"hot_event_id": w.column("hot_event", "hot_event_id")[0], "by": "b", "start": FIRST, "now": NOW},
    ),
    (
        "whole",
        classification.hot_event.WHOLE,
        lambda w: {
            "hot_event_id": w.column("hot_member", "hot_event_id")[0],
            "most": 20_000,
            "texts": 16,
            "length": 200,
        },
    ),
    ("untold", classification.hot_event.UNTOLD, lambda w: {"hot_event_id": UUID(int=3), "limit": 5}, 60),
    ("tell", classification.hot_event.TELL, lambda w: {"hot_event_id": UUID(int=3), "told_to": LAST}),
    (
        "dissolve",
        classification.hot_event.DISSOLVE,
        lambda w: {"hot_event_id": UUID(int=3), "by": "b", "reason": None, "now": NOW},
    ),
    ("masters", classification.hot_event.SEVERAL, lambda w: {"ids": w.column("hot_member", "hot_event_id")}),
    ("hot_events", classification.hot_event.PAGE, lambda w: {"state": "closed", "before": LAST, "limit": 50}),
    (
        "members",
        classification.hot_event.MEMBERS,
        lambda w: {"hot_event_id": w.column("hot_member", "hot_event_id")[0], "after": FIRST, "limit": 50},
    ),
    ("one", classification.ticket.ONE, lambda w: {"id": w.column("ticket", "id")[0]}, 2),
    (
        "classified",
        classification.cumulative.CLASSIFIED,
        lambda w: {"since": NOW - timedelta(days=2), "until": NOW - timedelta(days=1), "most": BATCH},
        8 * BATCH,
    ),
    ("tickets", classification.cumulative.TICKETS, lambda w: {"ids": w.column("hot_member", "ticket_id")}),
    (
        "occasions",
        classification.cumulative.OCCASIONS,
        lambda w: {"keys": list(range(BATCH)), "low": first_id(NOW - timedelta(days=60)), "most": 200},
        8 * BATCH,
    ),
    (
        "keep",
        classification.cumulative.KEEP,
        lambda w: {
            "keys": w.column("occasion", "key"),
            "began": w.column("occasion", "began"),
            "times": [NOW] * BATCH,
            "situations": texts("s"),
            "hot_events": [None] * BATCH,
            "tickets": list(map(str, fresh())),
            "counts": [2] * BATCH,
        },
    ),
    ("open", classification.cumulative.OPEN, lambda w: {"keys": list(range(BATCH)), "now": NOW}),
    ("grades", classification.cumulative.GRADES, lambda w: {"ids": w.column("ticket", "id")}),
    ("problems", classification.cumulative.PAGE, lambda w: {"before": LAST, "limit": 50}),
    ("found", classification.cumulative.FOUND, lambda w: {"ids": [UUID(int=n) for n in range(1, BATCH)]}),
    (
        "days",
        classification.cumulative.DAYS,
        lambda w: {
            "days": [NOW.date()] * BATCH,
            "situations": texts("s"),
            "tickets": [1] * BATCH,
            "grievances": [0] * BATCH,
        },
    ),
    (
        "forecast",
        classification.forecast.USUAL,
        lambda w: {"categories": ["C1", "C2"], "low": "3201", "high": "3201:", "week": 2901, "keep": 0.75},
        400,
    ),
    (
        "grieved",
        classification.forecast.DAYS,
        lambda w: {"since": (NOW - timedelta(days=2)).date(), "until": NOW.date()},
        400,
    ),
    (
        "settle",
        classification.settled.ADD,
        lambda w: {"ids": w.column("ticket", "id"), "answers": ["[]"] * BATCH, "times": [NOW] * BATCH},
        8 * BATCH,
    ),
    ("reopen", classification.settled.REOPEN, lambda w: {"ids": w.column("settled", "ticket_id"), "now": NOW}),
    (
        "settled",
        classification.settled.LATELY,
        lambda w: {"situation": "s", "ticket_id": FIRST, "most": BATCH},
        8 * BATCH,
    ),
    ("answers", classification.settled.SHOWN, lambda w: {"ids": w.column("settled", "ticket_id")}),
    (
        "reviews",
        classification.review.PAGE,
        lambda w: {"due_at": datetime(1970, 1, 1, tzinfo=UTC), "ticket_id": FIRST, "limit": 50},
    ),
    (
        "first",
        classification.review.FIRST,
        lambda w: {"due_at": datetime(1970, 1, 1, tzinfo=UTC), "ticket_id": FIRST, "limit": 50, "characters": 500},
    ),
    ("several", classification.review.SEVERAL, lambda w: {"ids": w.column("review", "ticket_id")}),
    ("drop", classification.review.DROP, lambda w: {"ids": w.column("review", "ticket_id")}),
    ("labels", classification.review.LABELS, lambda w: {"ids": w.column("ticket", "id")}),
    (
        "decide_reviews",
        classification.review.DECIDE,
        lambda w: {
            "ids": w.column("review", "ticket_id"),
            "situation": "s",
            "matrix_version": "m",
            "by": "r",
            "note": None,
            "now": NOW,
        },
    ),
    (
        "decide_tickets",
        classification.ticket.DECIDE,
        lambda w: {
            "ids": w.column("review", "ticket_id"),
            "situation": "s",
            "matrix_version": "m",
            "by": "r",
            "business_types": texts("b"),
            "objects": texts("o"),
            "urgencies": texts("u"),
            "risks": texts("r"),
            "now": NOW,
        },
    ),
    (
        "shadow",
        classification.shadow.GROUPS,
        lambda w: {"low": FIRST, "shadow_version": "v", "model_version": None, "limit": BATCH},
    ),
    ("waiting", classification.review.WAITING, lambda w: {"limit": 50}),
    (
        "figures",
        classification.review.FIGURES,
        lambda w: {"since": NOW - timedelta(days=3), "by": None, "limit": 50},
        8 * BATCH,
    ),
    ("review", classification.review.ONE, lambda w: {"ticket_id": w.column("review", "ticket_id")[0]}, 4),
    ("decided", classification.review.DECIDED, lambda w: {"ticket_id": w.column("ticket", "id")[0]}, 2),
)


def _of(w: World, table: str = "delivery") -> dict[str, Any]:
    return {"ticket_ids": w.column(table, "ticket_id"), "departments": w.column(table, "department")}


DISPATCH: tuple[Any, ...] = (
    ("tickets", dispatch.ticket.TICKETS, lambda w: {"ids": w.column("ticket", "ticket_id")}),
    ("orders", dispatch.order.ORDERS, lambda w: {"ids": w.column("ticket", "ticket_id")}),
    ("some", dispatch.order.SOME, lambda w: {"ids": w.column("work_order", "work_order_id")}),
    ("amendments", dispatch.ticket.AMENDMENTS, lambda w: {"ids": w.column("ticket", "ticket_id")}),
    ("locked", dispatch.order.LOCKED, lambda w: {"ids": w.column("ticket", "ticket_id")}),
    ("owners", owner.OWNERS, lambda w: {"ids": w.column("work_order", "work_order_id")}),
    (
        "write",
        dispatch.held.WRITE,
        lambda w: {
            "now": NOW,
            "tickets": records(
                ticket_id=w.column("ticket", "ticket_id"),
                state=["closed"] * BATCH,
                round=[1] * BATCH,
                transfers=[0] * BATCH,
                rulings=[0] * BATCH,
                messages=[0] * BATCH,
            ),
            "orders": records(
                work_order_id=w.column("work_order", "work_order_id"),
                ticket_id=w.column("work_order", "ticket_id"),
                state=["closed"] * BATCH,
                returns=[0] * BATCH,
            ),
            "ticket_ids": w.column("ticket", "ticket_id"),
            "order_ids": [None] * BATCH,
            "whats": texts("w"),
            "bys": texts("b"),
            "details": ["{}"] * BATCH,
        },
    ),
    (
        "of_agent",
        dispatch.ticket.OF_AGENT,
        lambda w: {"agent_id": "a7", "before": LAST, "state": "closed", "limit": 50},
    ),
    (
        "not_closed_of_agent",
        dispatch.ticket.NOT_CLOSED_OF_AGENT,
        lambda w: {"agent_id": "a50", "before": LAST, "state": None, "limit": 50},
    ),
    (
        "of_department",
        dispatch.order.OF_DEPARTMENT,
        lambda w: {"department": "d7", "after": FIRST, "contacted": False, "states": None, "limit": 50},
    ),
    (
        "open_of_department",
        dispatch.order.OPEN_OF_DEPARTMENT,
        lambda w: {"department": "d10", "after": FIRST, "contacted": False, "states": ["assigned"], "limit": 50},
    ),
    ("history", dispatch.ticket.HISTORY, lambda w: {"ticket_id": w.column("ticket", "ticket_id")[0]}, 4),
    (
        "add_deliveries",
        dispatch.delivery.ADD,
        lambda w: {
            "ids": fresh(),
            **_of(w),
            "order_ids": w.column("delivery", "work_order_id"),
            "types": texts("x"),
            "bodies": texts("b"),
            "parents": texts("p"),
            "now": NOW,
            "give_up_at": FAR,
        },
        8 * BATCH,
    ),
    (
        "due",
        dispatch.delivery.DUE,
        lambda w: {
            "departments": texts("d", 20),
            "rooms": [10] * 20,
            "floors": [NOW - timedelta(days=1)] * 20,
            "held": fresh(3),
        },
        250,
    ),
    (
        "record",
        dispatch.delivery.RECORD,
        lambda w: {
            "attempts": records(
                delivery_id=w.column("pending", "delivery_id"),
                ticket_id=w.column("pending", "ticket_id"),
                number=[1] * BATCH,
                ok=[True] * BATCH,
            ),
            "now": NOW,
            "last_call": timedelta(minutes=1),
            "full": timedelta(days=1),
        },
    ),
    (
        "mark_delivered",
        dispatch.delivery.MARK_DELIVERED,
        lambda w: {
            "ids": w.column("delivery", "delivery_id"),
            "ticket_ids": w.column("delivery", "ticket_id"),
            "now": NOW,
        },
    ),
    ("promote", dispatch.delivery.PROMOTE, lambda w: {**_of(w), "now": NOW}, 8 * BATCH),
    # Until autovacuum has looked at a new month, by the index of what is not delivered there.
    ("divert", dispatch.delivery.DIVERT, lambda w: {**_of(w, "pending"), "reason": "x", "now": NOW}, 120 * BATCH),
    (
        "undelivered",
        dispatch.delivery.UNDELIVERED,
        lambda w: {"ticket_ids": w.column("pending", "ticket_id"), "order_ids": w.column("pending", "work_order_id")},
        6 * BATCH,
    ),
    (
        "hurry",
        dispatch.delivery.HURRY,
        lambda w: {
            "ticket_ids": w.column("pending", "ticket_id"),
            "order_ids": w.column("pending", "work_order_id"),
            "untils": [NOW] * BATCH,
            "now": NOW,
        },
        6 * BATCH,
    ),
    ("overdue", dispatch.delivery.OVERDUE, lambda w: {"full": timedelta(days=1)}, 1100),
    (
        "deliveries_of_ticket",
        dispatch.replay.OF_TICKET,
        lambda w: {
            "ticket_id": w.column("ticket", "ticket_id")[0],
            "department": None,
            "state": None,
            "before": LAST,
            "limit": 50,
        },
        4,
    ),
    (
        "deliveries_of_department",
        dispatch.replay.OF_DEPARTMENT,
        lambda w: {"department": "d7", "state": None, "before": LAST, "limit": 50},
    ),
    ("delivery", dispatch.replay.FIND, lambda w: {"delivery_id": w.column("delivery", "delivery_id")[0]}, 4),
    (
        "pending_return",
        dispatch.court.PENDING,
        lambda w: {
            "ticket_id": w.column("return_case", "ticket_id")[0],
            "work_order_id": w.column("return_case", "work_order_id")[0],
        },
        120,  # until then, by the index of open returns
    ),
    (
        "returns",
        dispatch.court.BEFORE_JUDGE,
        lambda w: {"judge_kind": "lead", "judge": "lead", "after": FIRST, "limit": 50},
        400,
    ),
    (
        "overdue_rulings",
        dispatch.court.OVERDUE,
        lambda w: {
            "ticket_ids": w.column("return_case", "ticket_id"),
            "order_ids": w.column("return_case", "work_order_id"),
        },
        120 * BATCH,  # until then, by the index of open returns
    ),
    (
        "returns_of_cell",
        dispatch.court.OF_CELL,
        lambda w: {"situation": "s10", "department": "d10", "before": LAST, "lead": None, "limit": 50},
    ),
    (
        "count_cells",
        dispatch.cell.COUNT,
        lambda w: {
            "months": [first_id(midnight(start(NOW, "month")))] * BATCH,
            "situations": texts("s"),
            "departments": texts("d"),
            "slots": [0] * BATCH,
            "names": texts("n"),
            "leads": texts("l"),
            **{name: [1] * BATCH for name in ("assigned", "returned", "upheld", "rejected", "matrix_wrong")},
        },
    ),
    (
        "standing_of_cells",
        dispatch.cell.STANDING,
        lambda w: {
            "months": [first_id(midnight(start(NOW, "month")))] * 20,
            "situations": texts("s", 20),
            "departments": texts("d", 20),
        },
    ),
    (
        "evidence",
        dispatch.cell.EVIDENCE,
        lambda w: {"situation": "s10", "department": "d10", "month": FIRST, "tickets": 20},
    ),
    (
        "cells",
        dispatch.cell.PAGE,
        lambda w: {
            "first": first_id(midnight(start(NOW, "month"))),
            "department": None,
            "lead": None,
            "above": None,
            "rate": None,
            "after_situation": None,
            "after_department": None,
            "limit": 50,
        },
        500,  # all cells of the month
    ),
    (
        "list_reassigned",
        dispatch.reassignment.LIST,
        lambda w: {
            "source": "d10",
            "situations": None,
            "category": None,
            "after": FIRST,
            "until": uuid7(NOW + timedelta(days=1)),
            "limit": BATCH,
        },
        6 * BATCH,
    ),
    (
        "reassigned",
        dispatch.reassignment.ITEMS,
        lambda w: {"id": w.column("reassignment", "reassignment_id")[0], "after": FIRST, "result": None, "limit": 50},
    ),
    (
        "record_reassigned",
        dispatch.reassignment.RECORD,
        lambda w: {
            "id": w.column("item", "reassignment_id")[0],
            "orders": w.column("item", "work_order_id"),
            "results": ["moved"] * len(w.rows["item"]),
            "reasons": [None] * len(w.rows["item"]),
            "successors": [None] * len(w.rows["item"]),
            "now": NOW,
        },
    ),
    ("unfinished", dispatch.reassignment.UNFINISHED, lambda w: {}, 4),
    (
        "wish",
        dispatch.member.WISH,
        lambda w: {
            "members": records(
                ticket_id=w.column("ticket", "ticket_id"),
                master_id=fresh(),
                state=["joining"] * BATCH,
                departments=[[]] * BATCH,
                hot_event=[True] * BATCH,
                by=texts("b"),
                reason=[None] * BATCH,
            ),
            "now": NOW,
        },
    ),
    (
        "leave",
        dispatch.member.LEAVE,
        lambda w: {
            "ids": w.column("member", "ticket_id"),
            "masters": w.column("member", "master_id"),
            "bys": texts("b"),
            "now": NOW,
        },
        10 * BATCH,
    ),
    ("begin", dispatch.member.BEGIN, lambda w: {"ids": fresh(), "hot_event": True}),
    ("live", dispatch.member.LIVE, lambda w: {"ids": w.column("member", "master_id")}),
    ("members", dispatch.member.SOME, lambda w: {"ids": w.column("member", "ticket_id")}),
    ("moving", dispatch.member.MOVING, lambda w: {"id": w.column("member", "master_id")[0], "limit": 200}, 40),
    ("first", dispatch.member.FIRST, lambda w: {"id": w.column("member", "master_id")[0], "limit": 200}, 80),
    (
        "behind",
        dispatch.member.BEHIND,
        lambda w: {"id": w.column("member", "master_id")[0], "answered_at": NOW, "limit": 200},
        80,
    ),
    ("count", dispatch.member.COUNT, lambda w: {"id": w.column("member", "master_id")[0]}, 80),
    # One look for each master that tickets are on their way to.
    ("to_do", dispatch.member.TO_DO, lambda w: {}, 3000),
    ("questions", dispatch.question.SOME, lambda w: {"ids": w.column("question", "question_id")}),
    ("seats", dispatch.endpoint.ACTIVE, lambda w: {}),
    ("hold_endpoints", dispatch.endpoint.HOLD, lambda w: {"departments": texts("d", 20), "owner": "me", "seconds": 60}),
)

SLA = (
    (
        "assign",
        sla.ASSIGN,
        lambda w: {"ids": fresh(), "tickets": w.column("ticket", "id"), "departments": texts("d")},
        8 * BATCH,
    ),
    (
        "mark",
        sla.MARK,
        lambda w: {
            "ids": w.column("work_order", "id"),
            "tickets": w.column("work_order", "ticket_id"),
            "accepted": True,
            "contacted": False,
            "ended": False,
        },
        8 * BATCH,
    ),
    ("end", sla.END, lambda w: {"tickets": w.column("ticket", "id"), "closed": [NOW] * BATCH}),
    (
        "orders",
        sla.ORDERS,
        lambda w: {"ids": w.column("work_order", "id"), "tickets": w.column("work_order", "ticket_id")},
    ),
    ("clocks", sla.CLOCKS, lambda w: {"tickets": w.column("ticket", "id")}),
    ("joined", sla.JOINED, lambda w: {"tickets": w.column("ticket", "id")}),
    ("join", sla.JOIN, lambda w: {"tickets": w.column("ticket", "id"), "joined": ["{}"] * BATCH}),
    (
        "stop",
        sla.STOP,
        lambda w: {
            "tickets": w.column("running", "ticket_id"),
            "work_orders": w.column("running", "work_order_id"),
            "ats": [NOW] * BATCH,
            "kinds": ["accept"],
            "kept": ["accept"],
        },
        6 * BATCH,
    ),
    (
        "replace",
        sla.REPLACE,
        lambda w: {"ids": w.column("running", "id"), "tickets": w.column("running", "ticket_id"), "now": NOW},
    ),
    (
        "page",
        sla.PAGE,
        lambda w: {
            "state": "running",
            "before": FAR,
            "after_due": datetime(1, 1, 1, tzinfo=UTC),
            "after_id": FIRST,
            "count": 50,
        },
    ),
    (
        "page_of",
        sla.PAGE_OF,
        lambda w: {
            "department": "d10",
            "state": "running",
            "before": FAR,
            "after_due": datetime(1, 1, 1, tzinfo=UTC),
            "after_id": FIRST,
            "count": 50,
        },
    ),
    ("of_ticket", sla.OF_TICKET, lambda w: {"ticket": w.column("ticket", "id")[0]}, 4),
    ("head", timer.HEAD, lambda w: {"seconds": 0.25, "after_fire": timer.START[0], "after_id": timer.START[1]}, 20),
    (
        "take",
        timer.taking(BATCH),
        lambda w: {"now": NOW, "after_fire": timer.START[0], "after_id": timer.START[1]},
        400,
    ),
    (
        "fire",
        timer.FIRE,
        lambda w: {
            "now": NOW,
            "fires": w.column("timer", "fire_at"),
            "ids": w.column("timer", "id"),
            "first": min(w.column("timer", "fire_at")),
            "last": max(w.column("timer", "fire_at")),
            "percents": [50],
            "levels": [1],
            "nexts": [80],
            "names": ["executing", "lead", "supervisor", "interview"],
            "interviewer": "i",
            "topic": "t",
            "warned": "w",
            "breached": "b",
            "escalated": "e",
            "id": uuid7(NOW).hex[:27],
            "traceparent": "00-",
        },
        10 * BATCH,
    ),
)

NOTIFICATION = (
    (
        "add",
        inbox.ADD,
        lambda w: {
            "ids": fresh(),
            "recipients": texts("agent:a"),
            "tickets": w.column("notice", "ticket_id"),
            "kinds": ["ticket_answered"] * BATCH,
            "facts": texts("new"),
            "data": ["{}"] * BATCH,
            "causes": [NOW] * BATCH,
            "now": NOW,
        },
        24 * BATCH,
    ),
    ("news", inbox.NEWS, lambda w: {"addresses": texts("agent:a"), "numbers": [73] * BATCH, "count": 100}, 12 * BATCH),
    ("standing", inbox.STANDING, lambda w: {"addresses": texts("agent:a")}),
    ("due", channel.DUE, lambda w: {"share": 5}),
    (
        "settle",
        channel.SETTLE,
        lambda w: {
            "ids": w.column("delivery", "id"),
            "tickets": w.column("delivery", "ticket_id"),
            "attempts": [1] * BATCH,
            "states": ["sent"] * BATCH,
            "statuses": [200] * BATCH,
            "reasons": [""] * BATCH,
            "waits": [None] * BATCH,
            "now": NOW,
        },
    ),
    (
        "deliveries",
        channel.PAGE,
        lambda w: {
            "state": "failed",
            "after_at": datetime(1, 1, 1, tzinfo=UTC),
            "after_id": FIRST,
            "channel": None,
            "count": 50,
        },
    ),
    ("delivery", channel.FIND, lambda w: {"id": w.column("delivery", "id")[0]}, 4),
)

TABLE = {
    "intake": INTAKE,
    "classification": CLASSIFICATION,
    "dispatch": (*KERNEL, *DISPATCH),
    "sla_timer": SLA,
    "notification": NOTIFICATION,
}
DRAWN = {
    "intake": {"ticket": "SELECT ticket_id, external_ref FROM ticket"},
    "classification": {
        "ticket": "SELECT id, place FROM ticket",
        "review": "SELECT ticket_id FROM review",
        "trace": "SELECT key, ticket_id FROM trace",
        "arrival": "SELECT first_id FROM arrival",
        "hot_member": "SELECT ticket_id, hot_event_id FROM hot_member",
        "occasion": "SELECT key, began FROM occasion",
        "settled": "SELECT ticket_id FROM settled",
        "hot_event": "SELECT hot_event_id FROM hot_event WHERE state = 'open'",
    },
    "dispatch": {
        "ticket": "SELECT ticket_id FROM ticket",
        "work_order": "SELECT work_order_id, ticket_id FROM work_order",
        "delivery": "SELECT delivery_id, ticket_id, work_order_id, department FROM delivery",
        "pending": "SELECT delivery_id, ticket_id, work_order_id, department FROM delivery WHERE state = 'pending'",
        "return_case": "SELECT ticket_id, work_order_id FROM return_case WHERE decision IS NULL",
        "question": "SELECT question_id FROM question",
        "member": "SELECT ticket_id, master_id FROM member WHERE state = 'member'",
        "reassignment": "SELECT reassignment_id FROM reassignment",
        "item": "SELECT * FROM (SELECT * FROM reassignment_item ORDER BY reassignment_id LIMIT 50) AS first",
    },
    "sla_timer": {
        "ticket": "SELECT id FROM ticket",
        "work_order": "SELECT id, ticket_id FROM work_order",
        "running": "SELECT id, ticket_id, work_order_id FROM clock WHERE state = 'running'",
        "timer": "SELECT * FROM (SELECT fire_at, id FROM timer ORDER BY fire_at LIMIT 50) AS first",
    },
    "notification": {"notice": "SELECT ticket_id FROM notice", "delivery": "SELECT id, ticket_id FROM delivery"},
}


@pytest.mark.parametrize("service", [run.load(name) for name in sorted(TABLE)], ids=lambda each: each.name)
async def test_hot_statements_read_what_they_need_and_no_more(service: Service, database: str) -> None:
    """Planned before this month's first row was there, and again when autovacuum has looked at what came since."""
    more = {"vault_key": SecretStr(vault.new_key())} if service.name == "intake" else {}
    wrong = []
    async with harness(service, database, **more) as h:
        await filled.make_months(database, service)
        await filled.fill(database, service, past=True)
        await filled.analyze(database, service)
        async with h.running.engine.connect() as connection:
            prepared = {
                name: await plan.prepare(connection, name, statement) for name, statement, *_ in TABLE[service.name]
            }
            await filled.fill(database, service, past=False)
            world = World({name: await h.rows(query + SOME) for name, query in DRAWN[service.name].items()})
            for when in ("planned a month before", "planned anew"):
                for name, _, parameters, *most in TABLE[service.name]:
                    done = await prepared[name].carried_out(parameters(world))
                    wrong += [f"{name} ({when}): {each}" for each in faults(done, most[0] if most else 4 * BATCH)]
                await filled.analyze(database, service)
    assert not wrong, "\n".join(wrong)


def faults(done: plan.Plan, most: int) -> list[str]:
    """What is wrong with how a statement was carried out."""
    found = []
    rows = sum(done.scans.values())
    if rows > most:
        found.append(f"read {rows} rows, not {most} at most: {done.scans}")
    if whole := {table: count for table, count in done.sequential.items() if count > SMALL}:
        found.append(f"read from end to end: {whole}")
    if done.spilt:
        found.append(f"spilt {done.spilt} blocks to disk")
    return found
