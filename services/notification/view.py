"""A notice as its reader sees it: the facts, and the words for them in the reader's language."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import orjson

from services.notification.domain.notice import Recipient
from services.notification.domain.template import LANGUAGES, Language, Templates


def shown(row: Any, templates: Mapping[Language, Templates], default: Language) -> dict[str, Any]:
    """One notice as JSON-able values, in its reader's language (`row.language`, None: not chosen)."""
    data: Mapping[str, Any] = orjson.loads(row.data) if isinstance(row.data, str) else row.data
    language = cast(Language, row.language) if row.language in LANGUAGES else default
    title, text = templates[language].render(row.kind, data)
    recipient = Recipient.at(row.recipient)
    return {
        "number": row.number,
        "notification_id": str(row.id),
        "recipient": {"kind": recipient.kind, "id": recipient.id},
        "kind": row.kind,
        "ticket_id": str(row.ticket_id),
        "language": language,
        "title": title,
        "text": text,
        "data": data,
        "caused_at": _utc(row.caused_at),
        "created_at": _utc(row.created_at),
    }


def _utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
