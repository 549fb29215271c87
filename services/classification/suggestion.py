"""What a matrix owner does with a cell that the returns court finds wrong too often: a draft of it, or nothing."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from libs.shared.command import Answer, Refused
from libs.shared.contracts.dispatch import CellDisputed
from libs.shared.db import Transaction
from services.classification import draft, store
from services.classification.domain.draft import Change
from services.classification.domain.matrix import Matrix


@dataclass(frozen=True, slots=True)
class Accept:
    """Open a draft of what comes after `base`, the matrix in force, with the cell changed as suggested."""

    suggestion_id: int
    base: Matrix
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dismiss:
    """The cell stays as it is."""

    suggestion_id: int
    by: str
    reason: str


async def hear(events: list[CellDisputed], tx: Transaction) -> None:
    """Keep what the returns court found, for the owners of the matrix."""
    await store.suggestion.add(tx, events)


async def accept(args: Accept, tx: Transaction) -> Answer:
    """A draft in which the department most upheld returns went to stands in the cell instead; 409 where it cannot."""
    row = await _open(tx, args.suggestion_id)
    found = CellDisputed.model_validate(row.evidence)
    executing = _changed(found, args.base)
    title = f"{found.situation} {found.situation_name}: {found.department.name}"
    origin = {"suggestion_id": args.suggestion_id, **row.evidence}
    answer = await draft.open_draft(draft.Open(title, args.base, args.by, args.reason, origin), tx)
    draft_id = answer.body["draft_id"]
    if executing is not None:
        change = Change("set", "situation", found.situation, "executing", executing)
        answer = await draft.change(draft.Change(draft_id, 1, (change,), args.by, args.reason), tx)
    await store.suggestion.settle(tx, args.suggestion_id, "accepted", by=args.by, reason=args.reason, draft_id=draft_id)
    return Answer(201, {"suggestion_id": args.suggestion_id, "state": "accepted", "draft_id": draft_id})


async def dismiss(args: Dismiss, tx: Transaction) -> Answer:
    """Said again with newer counts next month, where it goes on."""
    await _open(tx, args.suggestion_id)
    await store.suggestion.settle(tx, args.suggestion_id, "dismissed", by=args.by, reason=args.reason)
    return Answer(200, {"suggestion_id": args.suggestion_id, "state": "dismissed", "draft_id": None})


async def _open(tx: Transaction, id_: int) -> Row[Any]:
    row = await store.suggestion.one(tx, id_)
    if row is None:
        raise Refused(404, "Not found", f"there is no suggestion {id_}")
    if row.state != "open":
        raise Refused(409, "Not open", f"suggestion {id_} is {row.state} by {row.settled_by}", state=row.state)
    return row


def _changed(found: CellDisputed, base: Matrix) -> list[str] | None:
    """What the cell would hold; None where nobody was suggested."""
    index = base.by_code.get(found.situation)
    executing = base.situations[index].executing if index is not None else ()
    if found.department.code not in executing:
        detail = f"in {base.version} situation {found.situation} is not for {found.department.code} any more"
        raise Refused(409, "Overtaken", f"{detail}: dismiss it")
    if found.suggested_department is None:
        return None
    new = found.suggested_department.code
    return list(dict.fromkeys(new if code == found.department.code else code for code in executing))
