-- One row per month, account, customer (NULL: nobody's) and pair of currencies; the month under way until today. Over
-- customers, nobody included, instance_days are those of bi_billing_monthly, and so is the sum of cost. cost: what the
-- upstream charges for these days by tariff_rates; price: what the customer is charged for them, daily_price for each.
-- Either is NULL where its currency is: no rate, or not sold. margin: price less cost, NULL where the currencies differ.
WITH RECURSIVE months AS (
    SELECT first_day, @next_month(first_day) AS end_day
    FROM (
        SELECT @first_of_month(@earlier(
            COALESCE((SELECT MIN(life_first_day) FROM instances), @today),
            COALESCE((SELECT MIN(first_day) FROM ended_lives), @today)
        )) AS first_day
    ) AS first_month
    UNION ALL
    SELECT end_day, @next_month(end_day) FROM months WHERE end_day <= @today
),
lives AS (
    SELECT id_instance, account, tariff, first_night, COALESCE(end_night, @next_day(@today)) AS end_night
    FROM instance_lives
),
pieces AS (
    SELECT
        @month_of_day(months.first_day) AS month,
        lives.account,
        periods.customer,
        rate_periods.currency AS cost_currency,
        periods.currency AS price_currency,
        @days_between(
            @later(
                @later(first_night, first_day),
                @later(COALESCE(rate_periods.valid_from, first_day), COALESCE(periods.valid_from, first_day))
            ),
            @earlier(
                @earlier(end_night, end_day),
                @earlier(COALESCE(rate_periods.valid_to, end_day), COALESCE(periods.valid_to, end_day))
            )
        ) AS nights,
        rate_periods.millionths AS cost,
        periods.millionths AS price
    FROM months
    JOIN lives ON first_night < end_day AND end_night > first_day AND end_night > first_night
    LEFT JOIN rate_periods
        ON rate_periods.tariff = lives.tariff
        AND rate_periods.valid_from < @earlier(end_night, end_day)
        AND rate_periods.valid_to > @later(first_night, first_day)
    LEFT JOIN customer_periods AS periods
        ON periods.id_instance = lives.id_instance
        AND periods.valid_from < @earlier(end_night, end_day)
        AND periods.valid_to > @later(first_night, first_day)
)
SELECT
    @as_text(month) AS month,
    account,
    @as_text(customer) AS customer,
    @as_text(cost_currency) AS cost_currency,
    @as_text(price_currency) AS price_currency,
    CAST(SUM(nights) AS BIGINT) AS instance_days,
    @amount(SUM(nights * cost)) AS cost,
    @amount(SUM(nights * price)) AS price,
    @amount(CASE WHEN cost_currency = price_currency THEN SUM(nights * price) - SUM(nights * cost) END) AS margin
FROM pieces
WHERE nights > 0
GROUP BY month, account, customer, cost_currency, price_currency
