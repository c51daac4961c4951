-- One row per day, account, type_instance and tariff, by all that is known now. Days are days at UTC+3.
-- began, ended: every step of an instance into such a group and out of it; created, deleted: those of them by which it
-- came into being and was deleted. live: at the day's end, today's so far; it is that of the day before, and began less
-- ended. billable: created that day, and there at its 00:00, as the upstream charges.
-- A group has rows from the day on which it begins until today, or until the day after its last instance ended.
WITH RECURSIVE beginnings AS MATERIALIZED (
    SELECT first_day, first_night, account, type_instance, tariff, began_with, COUNT(*) AS n
    FROM ended_lives
    GROUP BY first_day, first_night, tariff, type_instance, account, began_with
    UNION ALL
    SELECT life_first_day, life_first_night, account, type_instance, tariff, life_began_with, COUNT(*)
    FROM instances
    WHERE life_first_day IS NOT NULL
    GROUP BY life_first_day, life_first_night, tariff, type_instance, account, life_began_with
),
ends AS MATERIALIZED (
    SELECT last_day, end_night, account, type_instance, tariff, ended_with, COUNT(*) AS n
    FROM ended_lives
    GROUP BY last_day, end_night, tariff, type_instance, account, ended_with
),
moves AS (
    SELECT
        first_day AS day, account, type_instance, tariff,
        n AS began, 0 AS ended, CASE WHEN began_with = 'created' THEN n ELSE 0 END AS created, 0 AS deleted, 0 AS nights
    FROM beginnings
    UNION ALL
    SELECT last_day, account, type_instance, tariff, 0, n, 0, CASE WHEN ended_with = 'deleted' THEN n ELSE 0 END, 0
    FROM ends
    UNION ALL
    SELECT first_night, account, type_instance, tariff, 0, 0, 0, 0, n FROM beginnings
    UNION ALL
    SELECT end_night, account, type_instance, tariff, 0, 0, 0, 0, -n FROM ends
),
changes AS (
    SELECT
        day, account, type_instance, tariff,
        SUM(began) AS began, SUM(ended) AS ended, SUM(created) AS created, SUM(deleted) AS deleted,
        SUM(SUM(began - ended)) OVER so_far AS live,
        SUM(SUM(nights)) OVER so_far AS billable,
        COALESCE(LEAD(day) OVER so_far, @next_day(@today)) AS next_change
    FROM moves
    WHERE day <= @today
    GROUP BY day, account, type_instance, tariff
    WINDOW so_far AS (PARTITION BY account, type_instance, tariff ORDER BY day)
),
days AS (
    SELECT
        day, account, type_instance, tariff, began, ended, created, deleted, live, billable,
        CASE
            WHEN live > 0 THEN next_change
            WHEN began + ended > 0 THEN @earlier(next_change, @next_day(@next_day(day)))
            ELSE @next_day(day)
        END AS until
    FROM changes
    UNION ALL
    SELECT @next_day(day), account, type_instance, tariff, 0, 0, 0, 0, live, billable, until
    FROM days
    WHERE @next_day(day) < until
)
SELECT
    @as_day(day) AS day,
    account,
    type_instance,
    tariff,
    CAST(created AS BIGINT) AS created,
    CAST(deleted AS BIGINT) AS deleted,
    CAST(began AS BIGINT) AS began,
    CAST(ended AS BIGINT) AS ended,
    CAST(live AS BIGINT) AS live,
    CAST(billable AS BIGINT) AS billable
FROM days
