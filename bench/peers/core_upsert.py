"""What most people write by hand: SQLAlchemy Core, one upsert of everything. Usage: URL DATABASE."""

import json
import sys
import urllib.request

import sqlalchemy as sa

url, database = sys.argv[1:]
items = json.load(urllib.request.urlopen(f"{url}/partner/getInstances/x"))
engine = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
metadata = sa.MetaData()
flags = {"deleted", "isFree", "isPartner", "isExpired"}
table = sa.Table(
    "estate",
    metadata,
    *(
        sa.Column(key, sa.BigInteger, primary_key=True)
        if key == "idInstance"
        else sa.Column(key, sa.Boolean if key in flags else sa.Text)
        for key in items[0]
    ),
)
metadata.create_all(engine)
with engine.begin() as connection:
    dialect = __import__(f"sqlalchemy.dialects.{connection.dialect.name}", fromlist=["insert"])
    statement = dialect.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=["idInstance"],
        set_={key: statement.excluded[key] for key in items[0] if key != "idInstance"},
    )
    for at in range(0, len(items), 10_000):
        connection.execute(statement, items[at : at + 10_000])
