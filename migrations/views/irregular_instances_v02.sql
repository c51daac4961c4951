-- The few instances whose life cannot be read off single rows of history, because it was interrupted (restored,
-- reappeared), or told in another order than it happened: deleted before it was created, or before it was seen with
-- another type or tariff. For all others each row of history is one step of its own.
-- The conditions are those of partial indexes, so that the few are found without reading the many.
SELECT id_instance FROM instance_history WHERE @irregular
UNION
SELECT id_instance FROM instances WHERE @dated_at_creation
UNION
SELECT id_instance
FROM instance_history
WHERE @told_late
    AND EXISTS (
        SELECT 1 FROM instance_history AS seen WHERE seen.id_instance = instance_history.id_instance AND @regrouped
    )
