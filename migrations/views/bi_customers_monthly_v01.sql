-- One row per month, account, customer (NULL: nobody's) and pair of currencies; the month under way until today. Over
-- customers, nobody included, instance_days are those of bi_billing_monthly, and so is the sum of cost. cost: what the
-- upstream charges for these days by tariff_rates; price: what the customer is charged for them, daily_price for each.
-- Either is NULL where its currency is: no rate, or not sold. margin: price less cost, NULL where the currencies differ.
WITH RECURSIVE lives AS (
    SELECT id_instance, account, tariff, first_night, COALESCE(end_night, @next_day(@today)) AS end_night
    FROM instance_lives
),
pieces AS (
    SELECT
        lives.account,
        periods.customer,
        rate_periods.currency AS cost_currency,
        periods.currency AS price_currency,
        rate_periods.millionths AS cost,
        periods.millionths AS price,
        @later(
            first_night, @later(COALESCE(rate_periods.valid_from, first_night), COALESCE(periods.valid_from, first_night))
        ) AS begins,
        @earlier(
            end_night, @earlier(COALESCE(rate_periods.valid_to, end_night), COALESCE(periods.valid_to, end_night))
        ) AS ends
    FROM lives
    LEFT JOIN rate_periods ON rate_periods.tariff = lives.tariff
    LEFT JOIN customer_periods AS periods ON periods.id_instance = lives.id_instance
),
steps AS (
    -- How many pieces begin in a month less those that end in it, and their days until the month's end.
    SELECT
        account,
        customer,
        cost_currency,
        price_currency,
        cost,
        price,
        @first_of_month(day) AS first_day,
        SUM(n) AS n,
        SUM(n * @days_between(day, @next_month(day))) AS nights
    FROM (
        SELECT account, customer, cost_currency, price_currency, cost, price, begins AS day, COUNT(*) AS n
        FROM pieces
        WHERE begins < ends
        GROUP BY account, customer, cost_currency, price_currency, cost, price, begins
        UNION ALL
        SELECT account, customer, cost_currency, price_currency, cost, price, ends, -COUNT(*)
        FROM pieces
        WHERE begins < ends
        GROUP BY account, customer, cost_currency, price_currency, cost, price, ends
    ) AS changes
    GROUP BY account, customer, cost_currency, price_currency, cost, price, @first_of_month(day)
),
months AS (
    SELECT MIN(first_day) AS first_day, @days_between(MIN(first_day), @next_month(MIN(first_day))) AS days
    FROM steps
    UNION ALL
    SELECT @next_month(first_day), @days_between(@next_month(first_day), @next_month(@next_month(first_day)))
    FROM months
    WHERE first_day < @today
),
stretches AS (
    -- running: how many there are at the month's end, and until the next month in which one begins or ends.
    SELECT
        steps.account,
        steps.customer,
        steps.cost_currency,
        steps.price_currency,
        steps.cost,
        steps.price,
        steps.first_day,
        steps.n,
        steps.nights,
        SUM(steps.n) OVER same_piece AS running,
        COALESCE(LEAD(steps.first_day) OVER same_piece, @next_month(steps.first_day)) AS follows
    FROM steps
    WINDOW same_piece AS (
        PARTITION BY account, customer, cost_currency, price_currency, cost, price ORDER BY first_day
    )
),
charges AS (
    SELECT
        months.first_day AS month,
        account,
        customer,
        cost_currency,
        price_currency,
        cost,
        price,
        CASE
            WHEN months.first_day = stretches.first_day THEN (running - n) * days + nights
            ELSE running * days
        END AS nights
    FROM stretches
    JOIN months ON months.first_day >= stretches.first_day AND months.first_day < stretches.follows
)
SELECT
    @as_text(@month_of_day(month)) AS month,
    account,
    @as_text(customer) AS customer,
    @as_text(cost_currency) AS cost_currency,
    @as_text(price_currency) AS price_currency,
    CAST(SUM(nights) AS BIGINT) AS instance_days,
    @amount(SUM(nights * cost)) AS cost,
    @amount(SUM(nights * price)) AS price,
    @amount(CASE WHEN cost_currency = price_currency THEN SUM(nights * price) - SUM(nights * cost) END) AS margin
FROM charges
WHERE nights > 0
GROUP BY month, account, customer, cost_currency, price_currency
