-- base_is_last_accepted_run (sync_runs): An account's base is its last accepted run, and an account without one has no base.
-- instance_of_known_account (instances): Each instance belongs to an account that has accepted an answer.
-- held_answers_of_held_runs (sync_runs): A run is `held` where a held answer tells what it lacked, and only there.
-- claims_are_of_others (claims): An account claims what another one owns, and a retired one claims nothing.
-- approvals_end_with_an_answer (sync_runs): An approval is used up by an accepted run of the same account.
WITH accepted AS (
    SELECT account, max(id) AS run_id FROM sync_runs WHERE status IN ('ok', 'unchanged') GROUP BY account
)

SELECT 'base_is_last_accepted_run', coalesce(accounts.last_accepted_run_id, accepted.run_id)
FROM accounts LEFT JOIN accepted ON accepted.account = accounts.account
WHERE accounts.last_accepted_run_id IS DISTINCT FROM accepted.run_id
UNION ALL
SELECT 'instance_of_known_account', instances.id_instance
FROM instances LEFT JOIN accepted ON accepted.account = instances.account
WHERE accepted.run_id IS NULL
UNION ALL
SELECT 'held_answers_of_held_runs', sync_runs.id
FROM sync_runs LEFT JOIN held_answers ON held_answers.run_id = sync_runs.id
WHERE (sync_runs.status = 'held') <> (held_answers.run_id IS NOT NULL)
UNION ALL
SELECT 'claims_are_of_others', claims.id_instance
FROM claims
JOIN accounts ON accounts.account = claims.account
LEFT JOIN instances ON instances.id_instance = claims.id_instance
WHERE instances.account IS NULL OR instances.account = claims.account OR accounts.retired_at IS NOT NULL
UNION ALL
SELECT 'approvals_end_with_an_answer', approvals.run_id
FROM approvals
LEFT JOIN sync_runs AS held ON held.id = approvals.run_id
LEFT JOIN sync_runs AS closing ON closing.id = approvals.closed_by_run_id
WHERE approvals.closed_by_run_id IS NOT NULL
    AND (closing.status IS NULL OR closing.status NOT IN ('ok', 'unchanged') OR closing.account <> held.account)
