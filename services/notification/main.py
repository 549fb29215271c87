"""notification: what it hears, says, serves and runs."""

from libs.shared.contracts.classification import HighRiskFound, ReviewRequested
from libs.shared.contracts.dispatch import (
    CellDisputed,
    DeliveryFailed,
    QuestionAnswered,
    QuestionAsked,
    TicketAnswered,
    TicketMerged,
    TicketReleased,
    TicketReopened,
    WorkOrderReturned,
)
from libs.shared.contracts.notification import NotificationFailed, NotificationSent
from libs.shared.contracts.sla_timer import ClockBreached, ClockWarned, Escalated
from libs.shared.service import Service
from services.notification import api, handlers, resources, retention, sender
from services.notification.settings import NotificationSettings

service = Service(
    name="notification",
    hears={
        TicketAnswered: handlers.tell,
        QuestionAsked: handlers.tell,
        QuestionAnswered: handlers.tell,
        ReviewRequested: handlers.tell,
        HighRiskFound: handlers.tell,
        DeliveryFailed: handlers.tell,
        WorkOrderReturned: handlers.tell,
        TicketReopened: handlers.tell,
        TicketMerged: handlers.tell,
        TicketReleased: handlers.tell,
        CellDisputed: handlers.tell,
        ClockWarned: handlers.tell,
        ClockBreached: handlers.tell,
        Escalated: handlers.tell,
    },
    says=(NotificationSent, NotificationFailed),
    serves=api.router,
    runs=(sender.run,),
    settings=NotificationSettings,
    keeps=retention.KEEPS,
    opens=resources.opened,
)
