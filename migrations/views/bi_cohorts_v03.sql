-- One row per month of creation, age in months and account of creation: how many of those created then lived (in any
-- account) at the end of the month that many months later (0: the month of creation); the month under way until now.
WITH RECURSIVE births AS MATERIALIZED (
    -- last_month: in which the first life was over, NULL where it goes on or became one of another group
    SELECT
        account,
        @month_of_day(first_day) AS cohort_month,
        CASE WHEN ended_with IN ('deleted', 'vanished') THEN @month_of_day(last_day) END AS last_month,
        COUNT(*) AS n
    FROM ended_lives
    WHERE began_with = 'created'
    GROUP BY
        @month_of_day(first_day),
        CASE WHEN ended_with IN ('deleted', 'vanished') THEN @month_of_day(last_day) END,
        account
    UNION ALL
    SELECT account, @month_of_day(life_first_day), NULL, COUNT(*)
    FROM instances
    WHERE life_began_with = 'created'
    GROUP BY @month_of_day(life_first_day), account
),
cohorts AS MATERIALIZED (
    SELECT account, cohort_month, SUM(n) AS size FROM births GROUP BY account, cohort_month
),
steps AS (
    SELECT account, cohort_month, cohort_month AS month, size AS step FROM cohorts
    UNION ALL
    SELECT account, cohort_month, last_month, -n FROM births WHERE last_month IS NOT NULL
    UNION ALL
    -- what a later life begins or ends belongs to the cohort of the first one
    SELECT first_lives.account, @month_of_day(first_lives.first_day), later.month, SUM(later.step)
    FROM (
        SELECT id_instance, @month_of_day(last_day) AS month, -1 AS step
        FROM ended_lives
        WHERE began_with <> 'created' AND ended_with IN ('deleted', 'vanished')
        UNION ALL
        SELECT id_instance, @month_of_day(first_day), 1
        FROM instance_lives
        WHERE began_with = 'returned'
    ) AS later
    JOIN ended_lives AS first_lives
        ON first_lives.id_instance = later.id_instance AND first_lives.began_with = 'created'
    GROUP BY first_lives.account, @month_of_day(first_lives.first_day), later.month
),
ages AS (
    SELECT account, cohort_month, 0 AS age_months FROM cohorts
    UNION ALL
    SELECT account, cohort_month, age_months + 1
    FROM ages
    WHERE age_months < @month_number(@month_of_day(@today)) - @month_number(cohort_month)
),
balance AS (
    SELECT
        account,
        cohort_month,
        age_months,
        SUM(SUM(step)) OVER (PARTITION BY account, cohort_month ORDER BY age_months) AS alive
    FROM (
        SELECT account, cohort_month, @month_number(month) - @month_number(cohort_month) AS age_months, step
        FROM steps
        UNION ALL
        SELECT account, cohort_month, age_months, 0 FROM ages
    ) AS moves
    GROUP BY account, cohort_month, age_months
)
SELECT
    @as_text(balance.cohort_month) AS cohort_month,
    CAST(balance.age_months AS INTEGER) AS age_months,
    balance.account,
    CAST(cohorts.size AS BIGINT) AS size,
    CAST(balance.alive AS BIGINT) AS alive,
    CAST(CAST(balance.alive AS DOUBLE PRECISION) / cohorts.size AS DOUBLE PRECISION) AS survival
FROM balance
JOIN cohorts ON cohorts.account = balance.account AND cohorts.cohort_month = balance.cohort_month
