"""`python copy_csv.py duckdb|polars SOURCE TARGET` reads a CSV file with types and writes it again; prints the seconds.

It prints the seconds and the processor seconds. The types are those of the benchmark's source.
"""

import json
import sys
import time


def duckdb(source: str, target: str) -> None:
    import duckdb as engine

    types = "{id: 'BIGINT', name: 'VARCHAR', price: 'DECIMAL(9, 2)', day: 'DATE', ok: 'BOOLEAN'}"
    engine.execute(f"COPY (FROM read_csv('{source}', header = true, columns = {types})) TO '{target}' (HEADER)")


def polars(source: str, target: str) -> None:
    import polars as pl

    types = {"id": pl.Int64, "name": pl.String, "price": pl.Decimal(9, 2), "day": pl.Date, "ok": pl.Boolean}
    pl.read_csv(source, schema=types).write_csv(target)


def main(method: str, source: str, target: str) -> None:
    started_at, processor_started_at = time.monotonic(), time.process_time()
    {"duckdb": duckdb, "polars": polars}[method](source, target)
    print(json.dumps([time.monotonic() - started_at, time.process_time() - processor_started_at]))


if __name__ == "__main__":
    main(*sys.argv[1:])
