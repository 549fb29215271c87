"""intake: what it hears, says, serves and receives."""

from libs.shared.contracts.classification import (
    CumulativeProblemFound,
    HotEventFolded,
    ReviewRequested,
    TicketClassified,
    TicketSplit,
)
from libs.shared.contracts.dispatch import (
    ReturnRuled,
    TicketAnswered,
    TicketClosed,
    TicketMerged,
    TicketReleased,
    TicketReopened,
    WorkOrderAccepted,
    WorkOrderAnswered,
    WorkOrderAssigned,
    WorkOrderCancelled,
    WorkOrderContacted,
    WorkOrderDelivered,
    WorkOrderReturned,
)
from libs.shared.contracts.intake import TicketAmended, TicketReceived, TicketRejected
from libs.shared.contracts.notification import NotificationSent
from libs.shared.events import INBOUND
from libs.shared.service import Service
from services.intake import api, handlers, retention
from services.intake.command import original
from services.intake.domain.submission import Submission
from services.intake.settings import IntakeSettings

service = Service(
    name="intake",
    receives={INBOUND: handlers.receive_records},
    shapes={INBOUND: Submission},
    hears={
        ReviewRequested: handlers.move,
        TicketSplit: handlers.split,
        HotEventFolded: handlers.make,
        TicketClassified: handlers.move,
        WorkOrderAssigned: handlers.move,
        WorkOrderDelivered: handlers.move,
        WorkOrderAccepted: handlers.move,
        WorkOrderContacted: handlers.move,
        WorkOrderReturned: handlers.move,
        ReturnRuled: handlers.move,
        WorkOrderCancelled: handlers.move,
        WorkOrderAnswered: handlers.move,
        TicketAnswered: handlers.move,
        NotificationSent: handlers.move,
        TicketClosed: handlers.move,
        TicketReopened: handlers.move,
        CumulativeProblemFound: handlers.make,
        TicketMerged: handlers.move,
        TicketReleased: handlers.move,
    },
    says=(TicketReceived, TicketAmended, TicketRejected),
    serves=api.router,
    settings=IntakeSettings,
    keeps=retention.KEEPS,
    opens=original.open_vault,
)
