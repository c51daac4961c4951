-- One row per month of creation, age in months and account: how many of those created then were alive at the end of
-- the month that many months later (0: at the end of the month of creation); the month under way until now.
WITH RECURSIVE cohorts AS (
    SELECT account, @month(occurred_at) AS cohort_month, COUNT(*) AS size
    FROM instance_history
    WHERE transition = 'created'
    GROUP BY 1, 2
),
steps AS (
    SELECT account, cohort_month, 0 AS age_months, size AS step FROM cohorts
    UNION ALL
    SELECT
        instance_history.account,
        @month(CASE WHEN time_created <= first_seen_at THEN time_created ELSE first_seen_at END),
        @month_number(@month(occurred_at))
            - @month_number(@month(CASE WHEN time_created <= first_seen_at THEN time_created ELSE first_seen_at END)),
        -COUNT(*)
    FROM instance_history
    JOIN instances ON instances.id_instance = instance_history.id_instance
    WHERE transition IN ('deleted', 'vanished')
        AND instance_history.id_instance NOT IN (SELECT id_instance FROM irregular_instances)
    GROUP BY 1, 2, 3
    UNION ALL
    -- of the irregular ones, what cohorts counted is taken back, and their stretches of life are counted instead
    SELECT account, @month(occurred_at), 0, -COUNT(*)
    FROM instance_history
    WHERE transition = 'created' AND id_instance @irregular_ids
    GROUP BY 1, 2
    UNION ALL
    SELECT
        created_account, @month(created_at), @month_number(@month(live_from)) - @month_number(@month(created_at)), COUNT(*)
    FROM irregular_lives
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT
        created_account, @month(created_at), @month_number(@month(live_to)) - @month_number(@month(created_at)), -COUNT(*)
    FROM irregular_lives
    WHERE live_to IS NOT NULL
    GROUP BY 1, 2, 3
),
ages AS (
    SELECT account, cohort_month, 0 AS age_months FROM cohorts
    UNION ALL
    SELECT account, cohort_month, age_months + 1
    FROM ages
    WHERE age_months < @month_number(@month_of_day(@today)) - @month_number(cohort_month)
),
moves AS (
    SELECT account, cohort_month, age_months, step FROM steps
    UNION ALL
    SELECT account, cohort_month, age_months, 0 FROM ages
),
balance AS (
    SELECT
        account,
        cohort_month,
        age_months,
        SUM(SUM(step)) OVER (PARTITION BY account, cohort_month ORDER BY age_months ROWS UNBOUNDED PRECEDING) AS alive
    FROM moves
    GROUP BY account, cohort_month, age_months
)
SELECT
    balance.cohort_month,
    balance.age_months,
    balance.account,
    CAST(cohorts.size AS BIGINT) AS size,
    CAST(balance.alive AS BIGINT) AS alive,
    CAST(balance.alive AS DOUBLE PRECISION) / cohorts.size AS survival
FROM balance
JOIN cohorts ON cohorts.account = balance.account AND cohorts.cohort_month = balance.cohort_month
