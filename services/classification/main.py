"""classification: what it hears, says, serves and runs."""

from libs.shared.contracts.classification import (
    CumulativeProblemFound,
    HighRiskFound,
    HotEventClosed,
    HotEventDissolved,
    HotEventFolded,
    HotEventJoined,
    HotEventLeft,
    HotEventOpened,
    MatrixPublished,
    ReviewRequested,
    TicketClassified,
    TicketSplit,
)
from libs.shared.contracts.dispatch import CellDisputed, TicketAnswered, TicketReopened
from libs.shared.contracts.intake import TicketReceived
from libs.shared.service import Service
from services.classification import (
    api,
    cumulation,
    current,
    figure,
    handlers,
    retention,
    schedule,
    settlement,
    suggestion,
    trial,
    watch,
)
from services.classification.settings import ClassificationSettings

service = Service(
    name="classification",
    hears={
        TicketReceived: handlers.classify,
        CellDisputed: suggestion.hear,
        TicketAnswered: settlement.keep,
        TicketReopened: settlement.reopen,
    },
    prepares={TicketReceived: handlers.predict},
    says=(
        TicketClassified,
        ReviewRequested,
        HighRiskFound,
        TicketSplit,
        MatrixPublished,
        HotEventOpened,
        HotEventJoined,
        HotEventLeft,
        HotEventFolded,
        HotEventDissolved,
        HotEventClosed,
        CumulativeProblemFound,
    ),
    serves=api.router,
    runs=(
        current.follow,
        current.look,
        trial.try_drafts,
        figure.watch,
        schedule.retrain,
        watch.run,
        cumulation.run,
    ),
    settings=ClassificationSettings,
    keeps=retention.KEEPS,
    opens=current.opened,
)
