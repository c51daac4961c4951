-- One row per month, account, customer (NULL: nobody's) and pair of currencies; the month under way until today. Over
-- customers, nobody included, instance_days are those of bi_billing_monthly, and so is the sum of cost. cost: what the
-- upstream charges for these days by tariff_rates; price: what the customer is charged for them, daily_price for each.
-- Either is NULL where its currency is: no rate, or not sold. margin: price less cost, NULL where the currencies differ.
WITH RECURSIVE held AS MATERIALIZED (
    -- Each life in as many pieces as it had customers one after another.
    SELECT
        lives.account,
        lives.tariff,
        periods.customer,
        periods.currency,
        periods.millionths,
        @later(lives.first_night, COALESCE(periods.valid_from, lives.first_night)) AS begins,
        @earlier(lives.end_night, COALESCE(periods.valid_to, lives.end_night)) AS ends
    FROM (
        SELECT id_instance, account, tariff, first_night, COALESCE(end_night, @next_day(@today)) AS end_night
        FROM instance_lives
    ) AS lives
    LEFT JOIN customer_periods AS periods
        ON periods.id_instance = lives.id_instance
        AND periods.valid_from < lives.end_night
        AND periods.valid_to > lives.first_night
),
changes AS (
    -- How many pieces begin on a day, and how many end, below nought.
    SELECT account, tariff, customer, currency, millionths, begins AS day, COUNT(*) AS n
    FROM held
    GROUP BY begins, account, tariff, customer, currency, millionths
    UNION ALL
    SELECT account, tariff, customer, currency, millionths, ends, -COUNT(*)
    FROM held
    GROUP BY ends, account, tariff, customer, currency, millionths
),
rated AS (
    -- The same within each rate's days: what lies before them counts on the first, what lies behind on the day after the
    -- last, so pieces that are wholly outside begin and end at once.
    SELECT
        changes.account,
        changes.customer,
        rate_periods.currency AS cost_currency,
        changes.currency AS price_currency,
        rate_periods.millionths AS cost,
        changes.millionths AS price,
        @earlier(
            @later(changes.day, COALESCE(rate_periods.valid_from, changes.day)),
            COALESCE(rate_periods.valid_to, changes.day)
        ) AS day,
        changes.n
    FROM changes
    LEFT JOIN rate_periods
        ON rate_periods.tariff = changes.tariff
        AND rate_periods.valid_from <= @today
        AND rate_periods.valid_to > (SELECT MIN(begins) FROM held)
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
    FROM rated
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
