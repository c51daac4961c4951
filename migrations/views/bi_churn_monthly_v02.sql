-- One row per month and account, from the first month in which something lived; the month under way until now.
-- closing = opening + created + returned + moved - deleted - vanished. opening, closing: live instances when it began
-- and ended. created, returned (restored, or listed again after a deletion), deleted, vanished: lives that began and
-- ended in it. moved: live ones that came from other accounts, less those that went.
-- lost: lived here when the month began, and in no account when it ended; churn_rate: lost, as a share of opening.
WITH RECURSIVE began AS MATERIALIZED (
    SELECT
        month,
        account,
        SUM(CASE WHEN began_with = 'created' THEN n ELSE 0 END) AS created,
        SUM(CASE WHEN began_with = 'returned' THEN n ELSE 0 END) AS returned,
        SUM(CASE WHEN began_with = 'moved' THEN n ELSE 0 END) AS came
    FROM (
        SELECT @month_of_day(first_day) AS month, account, began_with, COUNT(*) AS n
        FROM ended_lives
        GROUP BY @month_of_day(first_day), began_with, account
        UNION ALL
        SELECT @month_of_day(life_first_day), account, life_began_with, COUNT(*)
        FROM instances
        WHERE life_first_day IS NOT NULL
        GROUP BY @month_of_day(life_first_day), life_began_with, account
    ) AS beginnings
    GROUP BY month, account
),
ended AS (
    SELECT
        @month_of_day(last_day) AS month,
        account,
        COUNT(CASE WHEN ended_with = 'deleted' THEN 1 END) AS deleted,
        COUNT(CASE WHEN ended_with = 'vanished' THEN 1 END) AS vanished,
        COUNT(CASE WHEN ended_with = 'moved' THEN 1 END) AS went
    FROM ended_lives
    GROUP BY @month_of_day(last_day), account
),
losses AS (
    SELECT month, account, COUNT(*) AS lost
    FROM (
        SELECT id_instance, account, @month_of_day(last_day) AS month
        FROM ended_lives
        WHERE @month_of_day(first_day) < @month_of_day(last_day)
    ) AS ends
    WHERE NOT EXISTS (
            SELECT 1
            FROM ended_lives AS lives
            WHERE lives.id_instance = ends.id_instance
                AND @month_of_day(lives.first_day) = ends.month
                AND @month_of_day(lives.last_day) > ends.month
        )
        AND NOT EXISTS (
            SELECT 1
            FROM instances
            WHERE instances.id_instance = ends.id_instance AND @month_of_day(instances.life_first_day) = ends.month
        )
    GROUP BY month, account
),
calendar AS (
    SELECT account, @first_day_of(MIN(month)) AS first_day FROM began GROUP BY account
    UNION ALL
    SELECT account, @next_month(first_day) FROM calendar WHERE @next_month(first_day) <= @today
),
figures AS (
    SELECT
        @month_of_day(calendar.first_day) AS month,
        calendar.account,
        COALESCE(created, 0) AS created,
        COALESCE(returned, 0) AS returned,
        COALESCE(came, 0) - COALESCE(went, 0) AS moved,
        COALESCE(deleted, 0) AS deleted,
        COALESCE(vanished, 0) AS vanished,
        COALESCE(lost, 0) AS lost
    FROM calendar
    LEFT JOIN began ON began.account = calendar.account AND began.month = @month_of_day(calendar.first_day)
    LEFT JOIN ended ON ended.account = calendar.account AND ended.month = @month_of_day(calendar.first_day)
    LEFT JOIN losses ON losses.account = calendar.account AND losses.month = @month_of_day(calendar.first_day)
),
balance AS (
    SELECT
        month, account, created, returned, moved, deleted, vanished, lost,
        SUM(created + returned + moved - deleted - vanished) OVER (PARTITION BY account ORDER BY month) AS closing
    FROM figures
)
SELECT
    @as_text(month) AS month,
    account,
    CAST(closing - created - returned - moved + deleted + vanished AS BIGINT) AS opening,
    CAST(created AS BIGINT) AS created,
    CAST(returned AS BIGINT) AS returned,
    CAST(moved AS BIGINT) AS moved,
    CAST(deleted AS BIGINT) AS deleted,
    CAST(vanished AS BIGINT) AS vanished,
    CAST(closing AS BIGINT) AS closing,
    CAST(lost AS BIGINT) AS lost,
    CAST(
        CAST(lost AS DOUBLE PRECISION)
        / NULLIF(closing - created - returned - moved + deleted + vanished, 0) AS DOUBLE PRECISION
    ) AS churn_rate
FROM balance
