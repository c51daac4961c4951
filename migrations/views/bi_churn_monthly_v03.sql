-- One row per month and account, from the first month in which something lived; the month under way until now.
-- closing = opening + created + returned + moved - deleted - vanished. opening, closing: live instances when it began
-- and ended. created, returned (restored, or listed again after a deletion), deleted, vanished: lives that began and
-- ended in it. moved: live ones that came from other accounts, less those that went.
-- lost: lived here when the month began, and in no account when it ended; churn_rate: lost, as a share of opening.
WITH RECURSIVE began AS MATERIALIZED (
    SELECT
        @month_of_day(day) AS month, account, SUM(created) AS created, SUM(returned) AS returned, SUM(came) AS came
    FROM (
        SELECT
            first_day AS day,
            account,
            COUNT(CASE WHEN began_with = 'created' THEN 1 END) AS created,
            COUNT(CASE WHEN began_with = 'returned' THEN 1 END) AS returned,
            COUNT(CASE WHEN began_with = 'moved' THEN 1 END) AS came
        FROM ended_lives
        GROUP BY first_day, account
        UNION ALL
        SELECT
            life_first_day,
            account,
            COUNT(CASE WHEN life_began_with = 'created' THEN 1 END),
            COUNT(CASE WHEN life_began_with = 'returned' THEN 1 END),
            COUNT(CASE WHEN life_began_with = 'moved' THEN 1 END)
        FROM instances
        WHERE life_first_day IS NOT NULL
        GROUP BY life_first_day, account
    ) AS beginnings
    GROUP BY @month_of_day(day), account
),
ended AS MATERIALIZED (
    -- went_away: of those that lived here when the month began
    SELECT
        @month_of_day(day) AS month,
        account,
        SUM(deleted) AS deleted,
        SUM(vanished) AS vanished,
        SUM(went) AS went,
        SUM(went_away) AS went_away
    FROM (
        SELECT
            last_day AS day,
            account,
            COUNT(CASE WHEN ended_with = 'deleted' THEN 1 END) AS deleted,
            COUNT(CASE WHEN ended_with = 'vanished' THEN 1 END) AS vanished,
            COUNT(CASE WHEN ended_with = 'moved' THEN 1 END) AS went,
            COUNT(CASE WHEN first_day < @first_of_month(last_day) THEN 1 END) AS went_away
        FROM ended_lives
        GROUP BY last_day, account
    ) AS ends
    GROUP BY @month_of_day(day), account
),
kept AS (
    -- of them, those that lived again, or still, when it ended: under whatever account, type and tariff
    SELECT @month_of_day(away.last_day) AS month, away.account, COUNT(*) AS stayed
    FROM instance_lives AS later
    JOIN ended_lives AS away
        ON away.id_instance = later.id_instance
        AND @month_of_day(away.last_day) = @month_of_day(later.first_day)
        AND @month_of_day(away.first_day) < @month_of_day(away.last_day)
    WHERE later.began_with <> 'created'
        AND (later.last_day IS NULL OR @month_of_day(later.last_day) > @month_of_day(later.first_day))
    GROUP BY @month_of_day(away.last_day), away.account
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
        COALESCE(went_away, 0) - COALESCE(stayed, 0) AS lost
    FROM calendar
    LEFT JOIN began ON began.account = calendar.account AND began.month = @month_of_day(calendar.first_day)
    LEFT JOIN ended ON ended.account = calendar.account AND ended.month = @month_of_day(calendar.first_day)
    LEFT JOIN kept ON kept.account = calendar.account AND kept.month = @month_of_day(calendar.first_day)
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
