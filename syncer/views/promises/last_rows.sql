-- state_equals_last_row (instances): Each row's state is that of its last history row, but for the daily roll of an auto-renewing instance and a date of deletion while it lives; a row that was edited by hand is set back by `syncer db repair`.
-- missing_since_last_seen_go (instances): `missing_since` is set where the last row is `vanished` or `purged`, to the moment of it.
-- row_written_after_history (instances): `changed_at` is not before the last history row was observed.
WITH lives AS (
    SELECT id_instance, max(id) AS last_id FROM instance_history GROUP BY id_instance
),

ends AS (
    SELECT
        mirror.id_instance, mirror.changed_at, mirror.missing_since,
        last.transition, last.observed_at, last.missing,
        mirror.account = last.account
        AND mirror.name IS NOT DISTINCT FROM last.name
        AND mirror.type_instance IS NOT DISTINCT FROM last.type_instance
        AND mirror.messenger IS NOT DISTINCT FROM last.messenger
        AND mirror.tariff IS NOT DISTINCT FROM last.tariff
        AND mirror.is_free IS NOT DISTINCT FROM last.is_free
        AND mirror.is_partner IS NOT DISTINCT FROM last.is_partner
        AND mirror.deleted = last.deleted
        AND (mirror.time_deleted IS NOT DISTINCT FROM last.time_deleted OR NOT mirror.deleted)
        AND mirror.is_expired = last.is_expired AS is_same,
        mirror.expiration_date IS NOT DISTINCT FROM last.expiration_date AS is_same_expiration,
        coalesce(
            coalesce(mirror.is_partner, substr(mirror.tariff, 1, 7) = 'PARTNER')
            AND mirror.expiration_date > last.expiration_date,
            FALSE
        ) AS is_rolled
    FROM lives
    JOIN instances AS mirror ON mirror.id_instance = lives.id_instance
    JOIN instance_history AS last ON last.id = lives.last_id
)

SELECT 'state_equals_last_row', id_instance FROM ends WHERE NOT is_same OR NOT (is_same_expiration OR is_rolled)
UNION ALL
SELECT 'missing_since_last_seen_go', id_instance FROM ends
WHERE (missing_since IS NOT NULL) <> missing OR missing <> (transition IN ('vanished', 'purged'))
    OR missing_since <> observed_at
UNION ALL
SELECT 'row_written_after_history', id_instance FROM ends WHERE changed_at < observed_at
