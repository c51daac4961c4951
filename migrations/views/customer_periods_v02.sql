-- One row per stretch of days of an instance, from valid_from until before valid_to, on which one assignment to a
-- customer holds, or none: on each day, of those that cover it, the one that began last. The days before an instance's
-- first, behind its last and between two that no assignment covers are rows without a customer. millionths: the price of
-- a day in millionths of the currency.
WITH assigned AS (
    -- reached: until when the days are covered by it or by one that began before it.
    SELECT
        id_instance,
        customer,
        currency,
        CAST(ROUND(daily_price * 1000000) AS BIGINT) AS millionths,
        valid_from,
        COALESCE(@next_day(valid_to), @date(9999-12-31)) AS ends,
        COALESCE(LEAD(valid_from) OVER in_turn, @date(9999-12-31)) AS follows,
        MAX(COALESCE(@next_day(valid_to), @date(9999-12-31))) OVER in_turn AS reached
    FROM customers
    WINDOW in_turn AS (PARTITION BY id_instance ORDER BY valid_from)
)
SELECT id_instance, customer, currency, millionths, valid_from, @earlier(ends, follows) AS valid_to
FROM assigned
UNION ALL
-- What lay within another is over before the next one begins: the other holds again, from when all that began since
-- then have ended.
SELECT id_instance, customer, currency, millionths, again_from, @earlier(ends, follows)
FROM (
    SELECT
        around.id_instance,
        around.customer,
        around.currency,
        around.millionths,
        around.ends,
        within.follows,
        (
            SELECT MAX(since_then.ends)
            FROM assigned AS since_then
            WHERE since_then.id_instance = within.id_instance
                AND since_then.valid_from > around.valid_from
                AND since_then.valid_from <= within.valid_from
        ) AS again_from
    FROM assigned AS within
    JOIN assigned AS around ON around.id_instance = within.id_instance AND around.valid_from < within.valid_from
    WHERE within.ends < within.follows AND within.ends < within.reached
) AS again
WHERE again_from < @earlier(ends, follows)
UNION ALL
SELECT id_instance, NULL, NULL, NULL, reached, follows
FROM assigned
WHERE reached < follows
UNION ALL
SELECT id_instance, NULL, NULL, NULL, @date(0001-01-01), MIN(valid_from)
FROM customers
GROUP BY id_instance
