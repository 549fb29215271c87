"""notification's own settings."""

from pydantic import Field

from libs.shared.settings import Settings
from services.notification.domain.template import Language


class NotificationSettings(Settings):
    """`ZHIDA_DEFAULT_LANGUAGE`, `ZHIDA_STREAM_LIMIT`, `ZHIDA_STREAM_HEARTBEAT`, `ZHIDA_NOTICE_MONTHS`."""

    default_language: Language = "zh-CN"  # of recipients who have not chosen
    stream_limit: int = Field(20_000, ge=1)  # open event streams of this process; more are answered 503
    notice_months: int = Field(6, ge=1)  # how long notices are kept besides the running month
    stream_heartbeat: float = Field(15.0, ge=0.05, le=300)  # s between comments on a quiet stream
