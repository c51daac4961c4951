-- One row per instance and leak, a way in which it loses money now.
-- nobody: it lives and had no customer until today; told once any customer is known. customer_left: it lives, and its
-- last customer's days are over. expired_not_deleted: as in bi_attention. gone_but_sold: its customer of today is charged
-- for it, and it is deleted, purged, vanished or was never listed. customer: today's; of customer_left the one who left.
-- days: since then, those that the upstream charges, of gone_but_sold those whose 00:00 it was gone at; cost: what the
-- upstream charges for them, NULL where none has a rate or two currencies meet.
WITH assigned AS (
    SELECT
        id_instance,
        customer,
        daily_price,
        valid_from,
        valid_to,
        valid_to IS NULL OR valid_to >= @today AS holds
    FROM (
        SELECT
            id_instance,
            customer,
            daily_price,
            valid_from,
            valid_to,
            -- The one that covers today and began last, or else the one that held last.
            ROW_NUMBER() OVER (
                PARTITION BY id_instance
                ORDER BY @earlier(COALESCE(valid_to, @today), @today) DESC, valid_from DESC
            ) AS place
        FROM customers
        WHERE valid_from <= @today
    ) AS begun
    WHERE place = 1
),
leaks AS (
    SELECT
        bi_attention.id_instance,
        bi_attention.account,
        bi_attention.name,
        CASE WHEN assigned.holds THEN assigned.customer END AS customer,
        'expired_not_deleted' AS leak,
        bi_attention.since,
        CASE
            WHEN @is_midnight(bi_attention.since) THEN @day(bi_attention.since)
            ELSE @next_day(@day(bi_attention.since))
        END AS from_day
    FROM bi_attention
    LEFT JOIN assigned ON assigned.id_instance = bi_attention.id_instance
    WHERE bi_attention.reason = 'expired_not_deleted'
    UNION ALL
    SELECT
        instances.id_instance,
        instances.account,
        instances.name,
        NULL,
        'nobody',
        COALESCE(
            (SELECT MIN(valid_from) FROM past_versions WHERE past_versions.id_instance = instances.id_instance),
            instances.valid_from
        ),
        @date(0001-01-01)
    FROM instances
    WHERE NOT deleted
        AND missing_since IS NULL
        AND EXISTS (SELECT 1 FROM customers)
        AND NOT EXISTS (
            SELECT 1
            FROM customers
            WHERE customers.id_instance = instances.id_instance AND customers.valid_from <= @today
        )
    UNION ALL
    SELECT
        instances.id_instance,
        instances.account,
        instances.name,
        assigned.customer,
        'customer_left',
        @later(
            @midnight(@next_day(assigned.valid_to)),
            COALESCE(
                (SELECT MIN(valid_from) FROM past_versions WHERE past_versions.id_instance = instances.id_instance),
                instances.valid_from
            )
        ),
        @next_day(assigned.valid_to)
    FROM assigned
    JOIN instances ON instances.id_instance = assigned.id_instance
    WHERE NOT assigned.holds AND NOT deleted AND missing_since IS NULL
    UNION ALL
    SELECT
        gone.id_instance,
        gone.account,
        gone.name,
        gone.customer,
        'gone_but_sold',
        gone.since,
        CASE WHEN @is_midnight(gone.since) THEN @day(gone.since) ELSE @next_day(@day(gone.since)) END
    FROM (
        SELECT
            sold.id_instance,
            instances.account,
            instances.name,
            sold.customer,
            @later(
                @midnight(sold.first_day),
                COALESCE(
                    (
                        SELECT MAX(ended_at)
                        FROM ended_lives
                        WHERE ended_lives.id_instance = sold.id_instance
                    ),
                    @midnight(sold.first_day)
                )
            ) AS since
        FROM (
            -- first_day: since when it has been this customer's without a break, for some days may have been another's.
            SELECT
                id_instance,
                customer,
                COALESCE(
                    (
                        SELECT MAX(@next_day(since_then.valid_to))
                        FROM customers AS since_then
                        WHERE since_then.id_instance = assigned.id_instance
                            AND since_then.valid_from > assigned.valid_from
                            AND since_then.valid_from <= @today
                    ),
                    valid_from
                ) AS first_day
            FROM assigned
            WHERE holds AND daily_price IS NOT NULL
        ) AS sold
        LEFT JOIN instances ON instances.id_instance = sold.id_instance
        WHERE instances.id_instance IS NULL OR instances.deleted OR instances.missing_since IS NOT NULL
    ) AS gone
),
charges AS (
    SELECT
        id_instance,
        leak,
        SUM(nights) AS days,
        SUM(nights * millionths) AS millionths,
        COUNT(DISTINCT currency) AS currencies
    FROM (
        SELECT
            leaks.id_instance,
            leaks.leak,
            @days_between(
                @later(@later(first_night, from_day), COALESCE(rate_periods.valid_from, from_day)),
                @earlier(
                    COALESCE(end_night, @next_day(@today)),
                    COALESCE(rate_periods.valid_to, @next_day(@today))
                )
            ) AS nights,
            rate_periods.currency,
            rate_periods.millionths
        FROM leaks
        JOIN instance_lives ON instance_lives.id_instance = leaks.id_instance
        LEFT JOIN rate_periods ON rate_periods.tariff = instance_lives.tariff
        WHERE leaks.leak <> 'gone_but_sold'
    ) AS priced
    WHERE nights > 0
    GROUP BY id_instance, leak
)
SELECT
    leaks.id_instance,
    @as_text(leaks.account) AS account,
    @as_text(leaks.name) AS name,
    @as_text(leaks.customer) AS customer,
    @as_text(leaks.leak) AS leak,
    @as_moment(leaks.since) AS since,
    CAST(
        CASE
            WHEN leaks.leak <> 'gone_but_sold' THEN COALESCE(charges.days, 0)
            WHEN leaks.from_day > @today THEN 0
            ELSE @days_between(leaks.from_day, @next_day(@today))
        END AS INTEGER
    ) AS days,
    @amount(CASE
        WHEN charges.days IS NULL THEN 0
        WHEN charges.currencies = 1 THEN charges.millionths
    END) AS cost
FROM leaks
LEFT JOIN charges ON charges.id_instance = leaks.id_instance AND charges.leak = leaks.leak
