-- One row per assignment of an instance to a customer, and the days from valid_from until before valid_to on which it
-- holds: where two overlap, the one that begins later does. The days before an instance's first, behind its last and
-- between two are rows without a customer. millionths: the price of a day in millionths of the currency.
WITH assigned AS (
    SELECT
        id_instance,
        customer,
        currency,
        CAST(ROUND(daily_price * 1000000) AS BIGINT) AS millionths,
        valid_from,
        COALESCE(@next_day(valid_to), @date(9999-12-31)) AS ends,
        COALESCE(LEAD(valid_from) OVER (PARTITION BY id_instance ORDER BY valid_from), @date(9999-12-31)) AS follows
    FROM customers
)
SELECT id_instance, customer, currency, millionths, valid_from, @earlier(ends, follows) AS valid_to
FROM assigned
UNION ALL
SELECT id_instance, NULL, NULL, NULL, ends, follows
FROM assigned
WHERE ends < follows
UNION ALL
SELECT id_instance, NULL, NULL, NULL, @date(0001-01-01), MIN(valid_from)
FROM customers
GROUP BY id_instance
