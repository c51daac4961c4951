-- One row per day, account, type_instance and tariff, from the first day of each such group until today (UTC+3).
-- created, deleted: what happened that day. live: instances at the day's end, today's so far.
-- billable: created that day, and there at its 00:00, as the upstream charges. An instance counts for the account,
-- type and tariff that it had then.
WITH RECURSIVE moves AS (
    SELECT * FROM daily_moves
),
kinds AS (
    SELECT account, type_instance, tariff, MIN(day) AS day FROM moves GROUP BY account, type_instance, tariff
),
days AS (
    SELECT MIN(day) AS day FROM kinds
    UNION ALL
    SELECT @next_day(day) FROM days WHERE day < @today
),
filled AS (
    SELECT day, account, type_instance, tariff, begun, ended, spared, created, deleted FROM moves
    UNION ALL
    SELECT days.day, account, type_instance, tariff, 0, 0, 0, 0, 0 FROM kinds JOIN days ON days.day >= kinds.day
),
daily AS (
    SELECT
        day,
        account,
        type_instance,
        tariff,
        SUM(begun) AS begun,
        SUM(ended) AS ended,
        SUM(spared) AS spared,
        SUM(created) AS created,
        SUM(deleted) AS deleted
    FROM filled
    GROUP BY day, account, type_instance, tariff
)
SELECT
    day,
    account,
    type_instance,
    tariff,
    CAST(created AS BIGINT) AS created,
    CAST(deleted AS BIGINT) AS deleted,
    CAST(SUM(begun - ended) OVER until AS BIGINT) AS live,
    -- there at 00:00: as many as at the end of the day before, but for those that ended at that very moment
    CAST(created + SUM(begun - ended) OVER until - begun + ended - spared AS BIGINT) AS billable
FROM daily
WINDOW until AS (PARTITION BY account, type_instance, tariff ORDER BY day ROWS UNBOUNDED PRECEDING)
