"""polars and ADBC: the list into a data frame, that into a staging table, one merge. Usage: URL DATABASE."""

import sys
import urllib.request

import polars

url, database = sys.argv[1:]
body = urllib.request.urlopen(f"{url}/partner/getInstances/x").read()
frame = polars.read_json(body)
if database.startswith("sqlite"):
    import adbc_driver_sqlite.dbapi as driver

    connection = driver.connect(database.removeprefix("sqlite:///"))
else:
    import adbc_driver_postgresql.dbapi as driver

    connection = driver.connect(database)
names = [f'"{name}"' for name in frame.columns]
columns = ", ".join(
    name + (" BIGINT PRIMARY KEY" if "idInstance" in name else " BOOLEAN" if kind == polars.Boolean else " TEXT")
    for name, kind in zip(names, frame.dtypes, strict=True)
)
with connection.cursor() as cursor:
    cursor.execute(f"CREATE TABLE IF NOT EXISTS estate ({columns})")
    cursor.execute("DROP TABLE IF EXISTS staging")
    cursor.adbc_ingest("staging", frame.to_arrow(), mode="create")
    assignments = ", ".join(f"{name} = excluded.{name}" for name in names if "idInstance" not in name)
    different = " OR ".join(
        f"estate.{name} IS {'NOT' if database.startswith('sqlite') else 'DISTINCT FROM'} excluded.{name}"
        for name in names
        if "idInstance" not in name
    )
    cursor.execute(
        f"INSERT INTO estate ({', '.join(names)}) SELECT {', '.join(names)} FROM staging WHERE true "
        f'ON CONFLICT ("idInstance") DO UPDATE SET {assignments} WHERE {different}'
    )
    cursor.execute("DROP TABLE staging")
connection.commit()
