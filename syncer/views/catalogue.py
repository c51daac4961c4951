"""The views of CONTRACT 7 with the types of their columns on either database; their SQL is in `migrations/views`."""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Connection, Date, Integer, Select, column, table
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.types import TypeEngine

from syncer.storage.tables import UtcDateTime

_TYPES: dict[type[TypeEngine[Any]] | type[UtcDateTime], str] = {
    BigInteger: "id_instance",
    Boolean: "is_partner is_free is_expired missing",
    Date: "day first_day first_night last_day end_night",
    UtcDateTime: (
        "time_created time_deleted expiration_date renewed_at first_seen_at last_seen_at changed_at missing_since "
        "valid_from valid_to since data_as_of last_run_at"
    ),
    Integer: (
        "days_to_expiration age_days billable_days days_left created began ended live billable instance_days "
        "unpriced_days opening returned moved vanished closing lost age_months size alive n severity age_seconds "
        "consecutive_failures listed expired births outside least_lag_minutes most_lag_minutes days"
    ),
}
_TYPE_OF = {name: kind for kind, names in _TYPES.items() for name in names.split()}


def _view(name: str, columns: str, **types: type[TypeEngine[Any]]) -> TableClause:
    return table(name, *(column(one, types.get(one, _TYPE_OF.get(one))) for one in columns.split()))


bi_instances = _view(
    "bi_instances",
    "id_instance account name type_instance messenger tariff status is_partner is_free time_created time_deleted "
    "expiration_date days_to_expiration age_days billable_days renewed_at first_seen_at last_seen_at changed_at "
    "missing_since partner_user_uiid customer",
)
instance_versions = _view(
    "instance_versions",
    "id_instance account name type_instance messenger tariff is_free is_partner time_deleted deleted expiration_date "
    "is_expired missing valid_from valid_to",
    deleted=Boolean,
)
bi_daily = _view(
    "bi_daily", "day account type_instance tariff created deleted began ended live billable", deleted=Integer
)
bi_billing_monthly = _view(
    "bi_billing_monthly", "month account type_instance tariff instance_days currency amount unpriced_days"
)
bi_costs_monthly = _view(
    "bi_costs_monthly", "month account id_instance tariff name customer instance_days currency amount unpriced_days"
)
bi_customers_monthly = _view(
    "bi_customers_monthly", "month account customer cost_currency price_currency instance_days cost price margin"
)
bi_expiring = _view("bi_expiring", "id_instance account name tariff expiration_date days_left")
bi_churn_monthly = _view(
    "bi_churn_monthly",
    "month account opening created returned moved deleted vanished closing lost churn_rate",
    deleted=Integer,
)
bi_cohorts = _view("bi_cohorts", "cohort_month age_months account size alive survival")
bi_transitions_daily = _view("bi_transitions_daily", "day account transition n")
bi_attention = _view("bi_attention", "id_instance account name reason since severity")
bi_leaks = _view("bi_leaks", "id_instance account name customer leak since days cost")
sync_status = _view(
    "sync_status",
    "account state data_as_of age_seconds last_run_at last_status consecutive_failures last_error listed live deleted "
    "expired warning",
    deleted=Integer,
)
upstream_evidence = _view(
    "upstream_evidence",
    "account births outside least_lag_minutes most_lag_minutes offset_configured offset_suggested",
)

rate_periods = table("rate_periods", *map(column, ("tariff", "currency", "millionths", "valid_from", "valid_to")))
"""For queries of our own; people read `tariff_rates`."""

instance_lives = table(
    "instance_lives",
    column("id_instance", BigInteger),
    *map(column, ("account", "type_instance", "tariff")),
    column("first_night", Date),
    column("end_night", Date),
)
customer_periods = table(
    "customer_periods",
    column("id_instance", BigInteger),
    *map(column, ("customer", "currency", "millionths")),
    column("valid_from", Date),
    column("valid_to", Date),
)

MONEY = ("amount", "cost", "price", "margin")
"""Columns of amounts, which SQLite gives as floats."""

VIEWS: dict[str, TableClause] = {
    view.name: view
    for view in (
        bi_instances,
        instance_versions,
        bi_daily,
        bi_billing_monthly,
        bi_costs_monthly,
        bi_customers_monthly,
        bi_expiring,
        bi_churn_monthly,
        bi_cohorts,
        bi_transitions_daily,
        bi_attention,
        bi_leaks,
        sync_status,
        upstream_evidence,
    )
}


def read(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    """The rows of a query over views, money as exact decimals."""
    result = connection.execute(query)
    names = tuple(result.keys())
    rows = [dict(zip(names, row, strict=True)) for row in result.all()]
    return rows if not set(MONEY).intersection(names) else [plain(row) for row in rows]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its amounts as decimals."""
    for name in MONEY:
        if row.get(name) is not None:
            row[name] = exact(row[name])
    return row


def exact(amount: float | Decimal) -> Decimal:
    """An amount as a decimal: SQLite gives a float, whose shortest form is the sum of whole millionths."""
    return _exact_float(amount) if isinstance(amount, float) else amount


@lru_cache(maxsize=1 << 12)
def _exact_float(amount: float) -> Decimal:
    return Decimal(repr(amount))
