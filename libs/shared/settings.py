"""Settings: read from the environment once, in `main`, and handed down; printed with secrets hidden."""

from typing import Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

SettingsKind = TypeVar("SettingsKind", bound="Settings")


class SettingsError(Exception):
    """One or more settings are missing or wrong; the text names each variable and the reason."""


class Settings(BaseSettings):
    """What every service reads. `ZHIDA_` precedes each name but the three well-known ones."""

    model_config = SettingsConfigDict(env_prefix="ZHIDA_", frozen=True, extra="ignore", populate_by_name=True)

    database_url: SecretStr = Field(validation_alias=AliasChoices("DATABASE_URL"))  # runtime role of the service
    owner_database_url: SecretStr | None = Field(None, validation_alias=AliasChoices("OWNER_DATABASE_URL"))
    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", validation_alias=AliasChoices("KAFKA_BOOTSTRAP_SERVERS"))
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: str | None = None
    http_host: str = "127.0.0.1"
    http_port: int = Field(0, ge=0, le=65535)  # 0: the service's usual port
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    # The process's name among its service's, the same after a restart (a StatefulSet's pod name): one that was killed
    # gets its partitions back at once, instead of after a session timeout. None where names change with each start.
    instance: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    run_http: bool = True  # flags that split a service into several processes when load asks for it
    run_consumer: bool = True
    run_relay: bool = True
    run_loops: bool = True
    batch_size: int = Field(2000, ge=1, le=2000)  # records or commands a transaction
    database_pool: int = Field(10, ge=4, le=100)  # connections
    bury_limit: int = Field(20, ge=1)  # consecutive burials that stop the consumer
    bury_ratio: float = Field(0.05, gt=0, le=1)  # of the last 1,000 events
    park_limit: int = Field(10_000, ge=1)  # events waiting behind buried ones
    inbox_days: int = Field(14, ge=2)  # how long redelivery is recognised
    ticket_months: int = Field(12, ge=1)  # how long a closed ticket is kept besides the running month
    command_days: int = Field(7, ge=1)  # how long an Idempotency-Key is remembered
    otlp_endpoint: str | None = None  # OpenTelemetry collector (OTLP over HTTP); None: no tracing


def read(kind: type[SettingsKind]) -> SettingsKind:
    """Settings of that kind from the environment, or SettingsError naming every variable that is wrong."""
    try:
        return kind()
    except ValidationError as error:
        wrong = []
        for each in error.errors():
            name = str(each["loc"][0])
            field = kind.model_fields.get(name.lower())
            alias = field.validation_alias if field else None
            variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else name
            variable = variable if variable.isupper() else f"ZHIDA_{variable.upper()}"
            wrong.append(f"{variable}: {each['msg']}")
        raise SettingsError("; ".join(wrong)) from None
