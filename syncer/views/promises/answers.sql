-- history_of_accepted_runs (instance_history): Each history row belongs to a run that is there and ended `ok`; it is of the row's account, or of the one that the row tells the instance has left.
-- runs_state_their_counts (sync_runs): An accepted run states as many transitions, new instances and rejected items as there are rows of it, and not fewer updates.
-- unaccepted_runs_wrote_nothing (sync_runs): A run that was not accepted has no rejected items.
-- answers_stand_together (sync_runs): The rows of one answer were observed at one moment, and no other answer's rows stand between them.
-- answers_apply_in_order (sync_runs): Within an account, a later run's rows have later ids, and were not observed earlier; where instances have left it, and another account may have got its name since, that is so of each instance.
-- base_covers_history (sync_runs): No history of an account was observed after its last accepted answer.
-- observed_at_never_decreases (instance_history): An instance that changed hands was not observed earlier by its new account than by the old one.
WITH tallied AS MATERIALIZED (
    SELECT
        run_id, min(id) AS first_id, max(id) AS last_id, count(*) AS transitions,
        sum(CASE WHEN transition = 'created' THEN 1 ELSE 0 END) AS created,
        min(observed_at) AS first_observed_at, max(observed_at) AS last_observed_at
    FROM instance_history
    GROUP BY run_id
),

answers AS (
    SELECT
        tallied.run_id, sync_runs.account, sync_runs.status, first_id, last_id, tallied.transitions, tallied.created,
        first_observed_at, last_observed_at
    FROM tallied LEFT JOIN sync_runs ON sync_runs.id = tallied.run_id
),

observed AS (
    SELECT run_id, count(*) AS instances
    FROM (SELECT DISTINCT id_instance, run_id FROM instance_history) AS seen
    GROUP BY run_id
),

rejects AS (
    SELECT run_id, count(*) AS rejected FROM rejected_items GROUP BY run_id
),

ordered AS (
    SELECT
        run_id, account, first_id, first_observed_at, last_observed_at,
        lag(last_id) OVER (ORDER BY first_id) AS last_id_before,
        lag(run_id) OVER own AS run_id_before,
        lag(last_observed_at) OVER own AS observed_at_before
    FROM answers
    WINDOW own AS (PARTITION BY account ORDER BY first_id)
),

moves AS (
    SELECT id_instance, run_id FROM instance_history
    WHERE transition = 'changed' AND CAST(changes AS TEXT) LIKE '%"account"%'
),

moved AS (
    SELECT
        id, observed_at, lag(observed_at) OVER (PARTITION BY id_instance ORDER BY id) AS observed_at_before,
        lag(account) OVER (PARTITION BY id_instance ORDER BY id) AS account_before,
        (id_instance, run_id) IN (SELECT id_instance, run_id FROM moves) AS is_move
    FROM instance_history
    WHERE id_instance IN (SELECT id_instance FROM moves)
),

-- What had a name before it was taken over owned nothing any more then, so something has left it.
taken_over AS (SELECT DISTINCT account_before AS account FROM moved WHERE is_move),

of_each AS (
    SELECT
        id_instance, run_id, observed_at,
        lag(run_id) OVER own AS run_id_before, lag(observed_at) OVER own AS observed_at_before
    FROM instance_history
    WHERE account IN (SELECT account FROM taken_over)
    WINDOW own AS (PARTITION BY account, id_instance ORDER BY id)
)

SELECT 'history_of_accepted_runs', first_id FROM answers WHERE status IS NULL OR status <> 'ok'
UNION ALL
SELECT 'history_of_accepted_runs', history.id
FROM instance_history AS history JOIN sync_runs ON sync_runs.id = history.run_id
WHERE history.account <> sync_runs.account AND NOT EXISTS (
    SELECT 1 FROM instance_history AS moved
    WHERE moved.id_instance = history.id_instance AND moved.run_id = history.run_id
        AND moved.transition = 'changed' AND CAST(moved.changes AS TEXT) LIKE '%"account"%'
)
UNION ALL
SELECT 'runs_state_their_counts', sync_runs.id
FROM sync_runs
LEFT JOIN answers ON answers.run_id = sync_runs.id
LEFT JOIN observed ON observed.run_id = sync_runs.id
LEFT JOIN rejects ON rejects.run_id = sync_runs.id
WHERE sync_runs.status IN ('ok', 'unchanged') AND (
    sync_runs.transitions IS DISTINCT FROM coalesce(answers.transitions, 0)
    OR sync_runs.created IS DISTINCT FROM coalesce(answers.created, 0)
    OR sync_runs.rejected IS DISTINCT FROM coalesce(rejects.rejected, 0)
    OR sync_runs.updated IS NULL
    OR sync_runs.updated < coalesce(observed.instances, 0) - coalesce(answers.created, 0)
    OR sync_runs.listed IS NULL
    OR sync_runs.listed < sync_runs.created + sync_runs.rejected
)
UNION ALL
SELECT 'unaccepted_runs_wrote_nothing', rejects.run_id
FROM rejects LEFT JOIN sync_runs ON sync_runs.id = rejects.run_id
WHERE sync_runs.status IS NULL OR sync_runs.status NOT IN ('ok', 'unchanged')
UNION ALL
SELECT 'answers_stand_together', run_id FROM ordered
WHERE first_observed_at <> last_observed_at OR last_id_before >= first_id
UNION ALL
SELECT 'answers_apply_in_order', run_id FROM ordered
WHERE (run_id_before >= run_id OR observed_at_before > first_observed_at)
    AND account NOT IN (SELECT account FROM taken_over WHERE account IS NOT NULL)
UNION ALL
SELECT 'answers_apply_in_order', run_id FROM of_each
WHERE (run_id_before > run_id OR observed_at_before > observed_at)
    AND (id_instance, run_id) NOT IN (SELECT id_instance, run_id FROM moves)
UNION ALL
SELECT 'base_covers_history', answers.run_id
FROM answers LEFT JOIN accounts ON accounts.account = answers.account
WHERE accounts.last_accepted_at IS NULL OR accounts.last_accepted_at < answers.last_observed_at
UNION ALL
SELECT 'observed_at_never_decreases', id FROM moved WHERE observed_at_before > observed_at
