-- One row per month and account, from the first month in which something lived; the month under way until today.
-- opening, closing: live instances at its start and end. created, deleted, restored, vanished: what happened in it.
-- churn_rate: deleted and vanished, as a share of opening; NULL when there was nothing to lose.
WITH months AS (
    SELECT
        @month_of_day(day) AS month,
        account,
        SUM(created) AS created,
        SUM(deleted) AS deleted,
        SUM(CASE WHEN day = @today OR @month_of_day(@next_day(day)) <> @month_of_day(day) THEN live ELSE 0 END) AS closing
    FROM bi_daily
    GROUP BY @month_of_day(day), account
),
returns AS (
    SELECT
        @month(occurred_at) AS month,
        account,
        SUM(CASE WHEN transition = 'restored' THEN 1 ELSE 0 END) AS restored,
        SUM(CASE WHEN transition = 'vanished' THEN 1 ELSE 0 END) AS vanished
    FROM instance_history
    WHERE transition IN ('restored', 'vanished')
    GROUP BY @month(occurred_at), account
),
figures AS (
    SELECT
        months.month,
        months.account,
        COALESCE(LAG(closing) OVER (PARTITION BY months.account ORDER BY months.month), 0) AS opening,
        created,
        deleted,
        COALESCE(restored, 0) AS restored,
        COALESCE(vanished, 0) AS vanished,
        closing
    FROM months
    LEFT JOIN returns ON returns.month = months.month AND returns.account = months.account
)
SELECT
    month,
    account,
    CAST(opening AS BIGINT) AS opening,
    CAST(created AS BIGINT) AS created,
    CAST(deleted AS BIGINT) AS deleted,
    CAST(restored AS BIGINT) AS restored,
    CAST(vanished AS BIGINT) AS vanished,
    CAST(closing AS BIGINT) AS closing,
    CAST(deleted + vanished AS DOUBLE PRECISION) / NULLIF(opening, 0) AS churn_rate
FROM figures
