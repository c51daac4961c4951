-- Written by `make docs` from the views, their meanings and docs/bi.md; change those.
-- The views of an SQLite mirror in DuckDB, with their types; times are UTC. Run it where syncer.db lies.
ATTACH IF NOT EXISTS 'syncer.db' AS mirror (TYPE sqlite, READ_ONLY);

CREATE OR REPLACE TEMP VIEW bi_instances AS
SELECT id_instance::BIGINT AS id_instance, account, name, type_instance, messenger, tariff, status, is_partner::BOOLEAN AS is_partner, is_free::BOOLEAN AS is_free, time_created::TIMESTAMP AS time_created, time_deleted::TIMESTAMP AS time_deleted, expiration_date::TIMESTAMP AS expiration_date, days_to_expiration::BIGINT AS days_to_expiration, age_days::BIGINT AS age_days, billable_days::BIGINT AS billable_days, renewed_at::TIMESTAMP AS renewed_at, first_seen_at::TIMESTAMP AS first_seen_at, last_seen_at::TIMESTAMP AS last_seen_at, changed_at::TIMESTAMP AS changed_at, missing_since::TIMESTAMP AS missing_since, partner_user_uiid, customer
FROM sqlite_query('mirror', 'SELECT * FROM bi_instances');

CREATE OR REPLACE TEMP VIEW instance_versions AS
SELECT id_instance::BIGINT AS id_instance, account, name, type_instance, messenger, tariff, is_free::BOOLEAN AS is_free, is_partner::BOOLEAN AS is_partner, time_deleted::TIMESTAMP AS time_deleted, deleted::BOOLEAN AS deleted, expiration_date::TIMESTAMP AS expiration_date, is_expired::BOOLEAN AS is_expired, missing::BOOLEAN AS missing, valid_from::TIMESTAMP AS valid_from, valid_to::TIMESTAMP AS valid_to
FROM sqlite_query('mirror', 'SELECT * FROM instance_versions');

CREATE OR REPLACE TEMP VIEW bi_daily AS
SELECT day::DATE AS day, account, type_instance, tariff, created::BIGINT AS created, deleted::BIGINT AS deleted, began::BIGINT AS began, ended::BIGINT AS ended, live::BIGINT AS live, billable::BIGINT AS billable
FROM sqlite_query('mirror', 'SELECT * FROM bi_daily');

CREATE OR REPLACE TEMP VIEW bi_billing_monthly AS
SELECT month, account, type_instance, tariff, instance_days::BIGINT AS instance_days, currency, amount::DECIMAL(18, 6) AS amount, unpriced_days::BIGINT AS unpriced_days
FROM sqlite_query('mirror', 'SELECT * FROM bi_billing_monthly');

CREATE OR REPLACE TEMP VIEW bi_costs_monthly AS
SELECT month, account, id_instance::BIGINT AS id_instance, tariff, name, customer, instance_days::BIGINT AS instance_days, currency, amount::DECIMAL(18, 6) AS amount, unpriced_days::BIGINT AS unpriced_days
FROM sqlite_query('mirror', 'SELECT * FROM bi_costs_monthly');

CREATE OR REPLACE TEMP VIEW bi_customers_monthly AS
SELECT month, account, customer, cost_currency, price_currency, instance_days::BIGINT AS instance_days, cost::DECIMAL(18, 6) AS cost, price::DECIMAL(18, 6) AS price, margin::DECIMAL(18, 6) AS margin
FROM sqlite_query('mirror', 'SELECT * FROM bi_customers_monthly');

CREATE OR REPLACE TEMP VIEW bi_expiring AS
SELECT id_instance::BIGINT AS id_instance, account, name, tariff, expiration_date::TIMESTAMP AS expiration_date, days_left::BIGINT AS days_left
FROM sqlite_query('mirror', 'SELECT * FROM bi_expiring');

CREATE OR REPLACE TEMP VIEW bi_churn_monthly AS
SELECT month, account, opening::BIGINT AS opening, created::BIGINT AS created, returned::BIGINT AS returned, moved::BIGINT AS moved, deleted::BIGINT AS deleted, vanished::BIGINT AS vanished, closing::BIGINT AS closing, lost::BIGINT AS lost, churn_rate::DOUBLE AS churn_rate
FROM sqlite_query('mirror', 'SELECT * FROM bi_churn_monthly');

CREATE OR REPLACE TEMP VIEW bi_cohorts AS
SELECT cohort_month, age_months::BIGINT AS age_months, account, size::BIGINT AS size, alive::BIGINT AS alive, survival::DOUBLE AS survival
FROM sqlite_query('mirror', 'SELECT * FROM bi_cohorts');

CREATE OR REPLACE TEMP VIEW bi_transitions_daily AS
SELECT day::DATE AS day, account, transition, n::BIGINT AS n
FROM sqlite_query('mirror', 'SELECT * FROM bi_transitions_daily');

CREATE OR REPLACE TEMP VIEW bi_attention AS
SELECT id_instance::BIGINT AS id_instance, account, name, reason, since::TIMESTAMP AS since, severity::BIGINT AS severity
FROM sqlite_query('mirror', 'SELECT * FROM bi_attention');

CREATE OR REPLACE TEMP VIEW bi_leaks AS
SELECT id_instance::BIGINT AS id_instance, account, name, customer, leak, since::TIMESTAMP AS since, days::BIGINT AS days, cost::DECIMAL(18, 6) AS cost
FROM sqlite_query('mirror', 'SELECT * FROM bi_leaks');

CREATE OR REPLACE TEMP VIEW sync_status AS
SELECT account, state, data_as_of::TIMESTAMP AS data_as_of, age_seconds::BIGINT AS age_seconds, last_run_at::TIMESTAMP AS last_run_at, last_status, consecutive_failures::BIGINT AS consecutive_failures, last_error, listed::BIGINT AS listed, live::BIGINT AS live, deleted::BIGINT AS deleted, expired::BIGINT AS expired, warning
FROM sqlite_query('mirror', 'SELECT * FROM sync_status');

CREATE OR REPLACE TEMP VIEW upstream_evidence AS
SELECT account, births::BIGINT AS births, outside::BIGINT AS outside, least_lag_minutes::BIGINT AS least_lag_minutes, most_lag_minutes::BIGINT AS most_lag_minutes, offset_configured, offset_suggested
FROM sqlite_query('mirror', 'SELECT * FROM upstream_evidence');
