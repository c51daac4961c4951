-- One row per day, account, type_instance and tariff, by all that is known now. Days are days at UTC+3.
-- began, ended: every step of an instance into such a group and out of it; created, deleted: those of them by which it
-- came into being and was deleted. live: at the day's end, today's so far; it is that of the day before, and began less
-- ended. billable: created that day, and there at its 00:00, as the upstream charges.
-- A group has rows from the day on which it begins until today, or until the day after its last instance ended.
WITH RECURSIVE steps AS MATERIALIZED (
    -- charged: of those that begin, which are charged from that very day on, the others are from the next; those that
    -- end likewise, below nought
    SELECT
        first_day AS day,
        account,
        type_instance,
        tariff,
        COUNT(*) AS began,
        0 AS ended,
        COUNT(CASE WHEN began_with = 'created' THEN 1 END) AS created,
        0 AS deleted,
        COUNT(CASE WHEN first_night = first_day THEN 1 END) AS charged
    FROM ended_lives
    GROUP BY first_day, account, tariff, type_instance
    UNION ALL
    SELECT
        life_first_day,
        account,
        type_instance,
        tariff,
        COUNT(*),
        0,
        COUNT(CASE WHEN life_began_with = 'created' THEN 1 END),
        0,
        COUNT(CASE WHEN life_first_night = life_first_day THEN 1 END)
    FROM instances
    WHERE life_first_day IS NOT NULL
    GROUP BY life_first_day, account, tariff, type_instance
    UNION ALL
    SELECT
        last_day,
        account,
        type_instance,
        tariff,
        0,
        COUNT(*),
        0,
        COUNT(CASE WHEN ended_with = 'deleted' THEN 1 END),
        -COUNT(CASE WHEN end_night = last_day THEN 1 END)
    FROM ended_lives
    GROUP BY last_day, account, tariff, type_instance
),
moves AS (
    SELECT day, account, type_instance, tariff, began, ended, created, deleted, charged AS nights
    FROM steps
    UNION ALL
    SELECT @next_day(day), account, type_instance, tariff, 0, 0, 0, 0, began - ended - charged
    FROM steps
    WHERE began - ended <> charged
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
