-- The few instances whose life cannot be read off single rows of history, because it was interrupted (restored,
-- reappeared), or told in another order than it happened. For all others each row of history is one step of its own.
-- Both conditions are those of partial indexes, so that the few are found without reading the many.
SELECT id_instance FROM instance_history WHERE @irregular
UNION
SELECT id_instance FROM instances WHERE @dated_at_creation
