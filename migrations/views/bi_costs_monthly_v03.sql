-- One row per month, account, instance and tariff that was charged for; the month under way until today. Its sums are
-- those of bi_billing_monthly. name, customer: the instance's last in that month, until today.
WITH RECURSIVE months AS (
    SELECT first_day, @next_month(first_day) AS end_day, @midnight(@next_month(first_day)) AS ends_at
    FROM (
        SELECT @first_of_month(@earlier(
            COALESCE((SELECT MIN(life_first_day) FROM instances), @today),
            COALESCE((SELECT MIN(first_day) FROM ended_lives), @today)
        )) AS first_day
    ) AS first_month
    UNION ALL
    SELECT end_day, @next_month(end_day), @midnight(@next_month(end_day)) FROM months WHERE end_day <= @today
),
lives AS (
    SELECT id_instance, account, tariff, first_night, COALESCE(end_night, @next_day(@today)) AS end_night
    FROM instance_lives
),
charges AS (
    SELECT
        month,
        account,
        id_instance,
        tariff,
        MIN(ends_at) AS ends_at,
        @earlier(MIN(end_day), @next_day(@today)) AS end_day,
        SUM(nights) AS instance_days,
        MAX(currency) AS currency,
        SUM(nights * millionths) AS millionths,
        SUM(CASE WHEN currency IS NULL THEN nights ELSE 0 END) AS unpriced_days
    FROM (
        SELECT
            @month_of_day(months.first_day) AS month,
            lives.account,
            lives.id_instance,
            lives.tariff,
            ends_at,
            end_day,
            @days_between(
                @later(@later(first_night, first_day), COALESCE(valid_from, first_day)),
                @earlier(@earlier(end_night, end_day), COALESCE(valid_to, end_day))
            ) AS nights,
            rate_periods.currency,
            rate_periods.millionths
        FROM months
        JOIN lives ON first_night < end_day AND end_night > first_day AND end_night > first_night
        LEFT JOIN rate_periods
            ON rate_periods.tariff = lives.tariff
            AND valid_from < @earlier(end_night, end_day)
            AND valid_to > @later(first_night, first_day)
    ) AS priced
    GROUP BY month, id_instance, account, tariff
)
SELECT
    @as_text(charges.month) AS month,
    charges.account,
    charges.id_instance,
    charges.tariff,
    @as_text(CASE
        WHEN instances.valid_from < charges.ends_at THEN instances.name
        ELSE (
            SELECT past_versions.name
            FROM past_versions
            WHERE past_versions.id_instance = charges.id_instance
                AND past_versions.valid_from < charges.ends_at
            ORDER BY past_versions.valid_from DESC
            LIMIT 1
        )
    END) AS name,
    @as_text(CASE
        WHEN EXISTS (SELECT 1 FROM customers) THEN COALESCE(
            (
                SELECT customers.customer
                FROM customers
                WHERE customers.id_instance = charges.id_instance
                    AND customers.valid_from < charges.end_day
                    AND (customers.valid_to IS NULL OR customers.valid_to >= @day_before(charges.end_day))
                ORDER BY customers.valid_from DESC
                LIMIT 1
            ),
            (
                SELECT customers.customer
                FROM customers
                WHERE customers.id_instance = charges.id_instance
                    AND customers.valid_from < charges.end_day
                    AND customers.valid_to >= @first_day_of(charges.month)
                ORDER BY customers.valid_to DESC, customers.valid_from DESC
                LIMIT 1
            )
        )
    END) AS customer,
    CAST(charges.instance_days AS BIGINT) AS instance_days,
    @as_text(charges.currency) AS currency,
    @amount(charges.millionths) AS amount,
    CAST(charges.unpriced_days AS BIGINT) AS unpriced_days
FROM charges
JOIN instances ON instances.id_instance = charges.id_instance
