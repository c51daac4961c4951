-- Are these figures fresh?
SELECT account, state, data_as_of, last_error FROM sync_status ORDER BY account;

-- How many live now, by messenger and tariff?
SELECT messenger, tariff, COUNT(*) AS live
FROM bi_instances
WHERE status IN ('active', 'expired')
GROUP BY messenger, tariff
ORDER BY live DESC;

-- What needs somebody's attention?
SELECT reason, COUNT(*) AS n, MIN(since) AS longest FROM bi_attention GROUP BY reason ORDER BY n DESC;

-- Which expire within a week?
SELECT id_instance, name, tariff, expiration_date, days_left FROM bi_expiring WHERE days_left BETWEEN 0 AND 7;

-- What did each month cost?
SELECT month, account, SUM(instance_days) AS instance_days, currency, SUM(amount) AS amount
FROM bi_billing_monthly
GROUP BY month, account, currency
ORDER BY month DESC, account;

-- How does the estate grow, and what is lost?
SELECT month, account, opening, created, deleted, closing, churn_rate FROM bi_churn_monthly ORDER BY month DESC, account;

-- Of those created in a month, how many lived on?
SELECT cohort_month, age_months, SUM(alive) AS alive, SUM(size) AS size
FROM bi_cohorts
GROUP BY cohort_month, age_months
ORDER BY cohort_month, age_months;

-- What happened this month, day by day?
SELECT day, transition, SUM(n) AS n FROM bi_transitions_daily GROUP BY day, transition ORDER BY day DESC, transition;

-- Which live instances have no customer?
SELECT id_instance, name, tariff FROM bi_instances WHERE customer IS NULL AND status IN ('active', 'expired');
