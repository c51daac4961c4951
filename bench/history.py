"""Whether a run costs more when the history is long: whole `syncer sync` processes before and after it has grown.

`syncer verify` reads all of the history, and is timed on the long one.

The history grows by rows made inside the database, a `changed` of every instance in every one of many runs, and by as
many runs that changed nothing as a year of five-minute polls has. `make bench-history` runs it.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import estate
import psycopg
from run import Cost, Database, measure, postgres, syncer_environment

from syncer.storage import database

STATE = (
    "name, type_instance, messenger, tariff, is_free, is_partner, time_deleted, deleted, expiration_date, is_expired"
)
CASES = (
    ("same", "sync", "nothing changed"),
    ("1%", "sync", "1 % changed"),
    ("same", "sync", "1 % changed back"),
    ("same", "verify", "`syncer verify`"),
)
PER_STATEMENT = 50  # runs whose rows one statement makes


def lengthen(url: str, rows: int, instances: int, quiet_runs: int) -> None:
    """Add `changed` rows of all instances, as of runs since the first answer, and runs that changed nothing."""
    engine = database.open_engine(database.parse_database_url(url))
    is_sqlite = engine.dialect.name == "sqlite"
    later = "strftime('%Y-%m-%d %H:%M:%f000', started_at, '+0.001 seconds')" if is_sqlite else "started_at"
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE instances SET changed_at = (SELECT last_accepted_at FROM accounts)")
    for at in range(0, max(1, rows // instances), PER_STATEMENT):
        with engine.begin() as connection:
            for _ in range(min(PER_STATEMENT, rows // instances - at)):
                connection.exec_driver_sql(
                    'INSERT INTO sync_runs (account, "trigger", status, started_at, finished_at, listed, created, '
                    f"updated, transitions, rejected) SELECT account, 'manual', 'ok', {later}, {later}, listed, 0, "
                    "listed, listed, 0 FROM sync_runs WHERE id = 1"
                )
            connection.exec_driver_sql(
                "INSERT INTO instance_history (id_instance, account, run_id, transition, occurred_at, time_source, "
                f"observed_at, previous_observed_at, changes, missing, {STATE}) SELECT id_instance, "
                "instances.account, sync_runs.id, 'changed', changed_at, 'observed', changed_at, changed_at, "
                f"'{{}}', {'0' if is_sqlite else 'false'}, {STATE} FROM instances CROSS JOIN sync_runs "
                "WHERE sync_runs.id > (SELECT max(run_id) FROM instance_history) ORDER BY sync_runs.id, id_instance"
            )
        print(f"{min(rows, (at + PER_STATEMENT) * instances):,} rows", end="\r", file=sys.stderr, flush=True)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {quiet_runs}) "
            'INSERT INTO sync_runs (account, "trigger", status, started_at, finished_at, listed, created, updated, '
            f"transitions, rejected) SELECT account, 'schedule', 'unchanged', {later}, {later}, listed, 0, 0, 0, 0 "
            "FROM sync_runs CROSS JOIN numbers WHERE id = 1"
        )
        connection.exec_driver_sql("UPDATE accounts SET last_accepted_run_id = (SELECT max(id) FROM sync_runs)")
    engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--quiet-runs", type=int, default=105_120)
    wanted = parser.parse_args()
    server, pg = estate.Server(), postgres.start()
    print("| database | history rows | case | seconds | CPU | kB written |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="syncer-bench-") as name:
        folder = Path(name)
        changes = {"same": estate.unchanged, "1%": estate.one_percent}
        for case, change in changes.items():
            estate.write_body(str(folder / case), wanted.instances, 1, change)
        for kind in ("sqlite", "postgresql"):
            base = Database(kind, folder, pg if kind == "postgresql" else None)
            environment = syncer_environment(server.url, base.url)

            def cost_of(command: str, base: Database = base, environment: dict[str, str] = environment) -> Cost:
                cost = measure([sys.executable, "-m", "syncer", command], environment, base)
                if cost is None:
                    raise SystemExit(f"{command} did not end well")
                return cost

            server.show(str(folder / "same"))
            cost_of("sync")
            for rows in (wanted.instances, wanted.rows):
                if rows > wanted.instances:
                    lengthen(base.url, rows, wanted.instances, wanted.quiet_runs)
                    if kind == "postgresql":
                        with psycopg.connect(base.url, autocommit=True) as connection:
                            connection.execute("VACUUM ANALYZE")
                for case, command, words in CASES:
                    server.show(str(folder / case))
                    cost = cost_of(command)
                    print(
                        f"| {kind} | {rows:,} | {words} | {cost.seconds:.2f} | {cost.cpu:.2f} "
                        f"| {cost.written_kb:,.0f} |",
                        flush=True,
                    )
            base.drop()
    server.close()
    if pg.server is not None:
        pg.server.remove()


if __name__ == "__main__":
    main()
