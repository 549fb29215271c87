"""classification: what it hears, says, serves and runs."""

from libs.shared.contracts.classification import (
    HotEventClosed,
    HotEventJoined,
    HotEventLeft,
    HotEventOpened,
    MatrixPublished,
    ReviewRequested,
    TicketClassified,
)
from libs.shared.contracts.intake import TicketReceived
from libs.shared.service import Service
from services.classification import api, current, handlers, retention, watch
from services.classification.settings import ClassificationSettings

service = Service(
    name="classification",
    hears={TicketReceived: handlers.classify},
    prepares={TicketReceived: handlers.predict},
    says=(
        TicketClassified,
        ReviewRequested,
        MatrixPublished,
        HotEventOpened,
        HotEventJoined,
        HotEventLeft,
        HotEventClosed,
    ),
    serves=api.router,
    runs=(current.follow, watch.run),
    settings=ClassificationSettings,
    keeps=retention.KEEPS,
    opens=current.opened,
)
