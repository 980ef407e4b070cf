"""Small Parquet files by pyarrow, and the rows that pyarrow reads in them: Tests/Goldens/parquet.

    pip install pyarrow==26.0.1
    python Scripts/goldens/parquet_rows.py      (a second)

Null fields are left out of the rows, as the reader leaves them out; so are decimals, which have no form in JSON.
"""

import decimal
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq

from golden_files import ROOT

TARGET = ROOT.parent / "parquet"
WORDS = "the of and to in a 是 that for it was on are é as with his they at be 🙂 this from have or by".split()


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def values(count, seed):
    """Columns of every kind that is read, with nulls, repeats and empty lists."""
    source = random.Random(seed)
    text = lambda: " ".join(source.choices(WORDS, k=source.randint(0, 12)))
    maybe = lambda value: None if source.random() < 0.2 else value
    columns = {
        "text": pa.array([text() for _ in range(count)], pa.string()),
        "label": pa.array([maybe(source.choice(["yes", "no", "maybe"])) for _ in range(count)], pa.string()),
        "small": pa.array([maybe(source.randint(-1000, 1000)) for _ in range(count)], pa.int32()),
        "large": pa.array([source.randint(-2**62, 2**62) for _ in range(count)], pa.int64()),
        "byte": pa.array([source.randint(0, 255) for _ in range(count)], pa.uint8()),
        "unsigned": pa.array([source.randint(2**31, 2**32 - 1) for _ in range(count)], pa.uint32()),
        "single": pa.array([maybe(source.randint(-64, 64) / 8) for _ in range(count)], pa.float32()),
        "score": pa.array([source.randint(-10**6, 10**6) / 1024 for _ in range(count)], pa.float64()),
        "flag": pa.array([maybe(source.random() < 0.5) for _ in range(count)], pa.bool_()),
        "tags": pa.array(
            [maybe([maybe(text()) for _ in range(source.randint(0, 3))]) for _ in range(count)], pa.list_(pa.string())),
        "grid": pa.array(
            [[[source.randint(0, 9) for _ in range(source.randint(0, 2))] for _ in range(source.randint(0, 3))]
             for _ in range(count)], pa.list_(pa.list_(pa.int64()))),
        "pair": pa.array(
            [maybe({"a": maybe(1), "b": {"c": maybe("x")}}) for _ in range(count)],
            pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.string())]))])),
        "named": pa.array(
            [maybe([(f"k{index}", maybe(index)) for index in range(source.randint(0, 3))]) for _ in range(count)],
            pa.map_(pa.string(), pa.int64())),
        "large_text": pa.array([maybe("y" * source.randint(0, 40)) for _ in range(count)], pa.large_string()),
        "nothing": pa.array([None] * count, pa.string()),
        "price": pa.array([decimal.Decimal("1.50")] * count, pa.decimal128(9, 2)),
    }
    return pa.table(columns)


# Names of fields are texts: other keys are written as JSON.
MAPS = {
    "by_number": pa.array([[(1, "a"), (20, "b"), (-3, None)], [], None], pa.map_(pa.int64(), pa.string())),
    "by_truth": pa.array([[(True, 1), (False, 2)], None, [(True, 3)]], pa.map_(pa.bool_(), pa.int32())),
    "by_fraction": pa.array([[(0.5, 1), (-2.25, 2)], [], []], pa.map_(pa.float64(), pa.int32())),
}


CALL = {"type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}
MESSAGES = [
    {"messages": [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": None, "tool_calls": [CALL]},
                  {"role": "tool", "content": "clear"}, {"role": "assistant", "content": "Clear. 晴"}],
     "tools": json.dumps([{"type": "function", "function": {"name": "get_weather", "parameters": {}}}])},
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}], "tools": None},
]
TURN = pa.struct([
    ("role", pa.string()), ("content", pa.string()),
    ("tool_calls", pa.list_(pa.struct([
        ("type", pa.string()),
        ("function", pa.struct([("name", pa.string()), ("arguments", pa.string())]))])))])


def main():
    TARGET.mkdir(parents=True, exist_ok=True)
    for old in TARGET.iterdir():
        old.unlink()
    files, rows = {}, {}

    def write(name, table, of=None, **options):
        pq.write_table(table, TARGET / f"{name}.parquet", store_schema=False, **options)
        found = pq.read_table(TARGET / f"{name}.parquet").to_pylist()
        for row in found:
            row.pop("price", None)
            for column in {"named", *MAPS} & row.keys():
                if row[column] is not None:
                    row[column] = {key if isinstance(key, str) else json.dumps(key): item for key, item in row[column]}
        # A map's entries stay though their values are null.
        found = [
            {key: item if key in {"named", *MAPS} else without_nulls(item) for key, item in row.items() if item is not None}
            for row in found]
        files[name] = of or name
        assert rows.setdefault(files[name], found) == found, name

    table = values(40, seed=1)
    write("plain", table, "all kinds", compression="none", use_dictionary=False, row_group_size=15, write_statistics=False)
    write("dictionary-snappy", table, "all kinds", compression="snappy", data_page_size=200, write_batch_size=10)
    write("gzip-v2", table, "all kinds", compression="gzip", data_page_version="2.0", row_group_size=30)
    write("zstd-v2", table, "all kinds", compression="zstd", data_page_version="2.0", use_dictionary=False)
    write("uncompressed-v2", table, "all kinds", compression="none", data_page_version="2.0")
    flat = table.select(["text", "small", "large", "large_text", "flag"])
    write("delta", flat, compression="zstd", use_dictionary=False, column_encoding={
        "text": "DELTA_BYTE_ARRAY", "large_text": "DELTA_LENGTH_BYTE_ARRAY", "small": "DELTA_BINARY_PACKED",
        "large": "DELTA_BINARY_PACKED", "flag": "RLE"})
    write("old-lists", table.select(["tags", "grid"]), use_compliant_nested_type=False)
    write("messages", pa.table({
        "messages": pa.array([row["messages"] for row in MESSAGES], pa.list_(TURN)),
        "tools": pa.array([row["tools"] for row in MESSAGES], pa.string())}))
    write("alpaca", pa.table({
        "instruction": ["Add", "Greet"], "input": ["1 2", None], "output": ["3", "Hello"],
        "embedding": pa.array([[0.5] * 8] * 2, pa.list_(pa.float32()))}))
    write("sharegpt", pa.table({"conversations": pa.array(
        [[{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]],
        pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())])))}))
    write("maps", pa.table(MAPS))
    write("no-rows", flat.slice(0, 0))
    pq.write_table(flat, TARGET / "lz4.parquet", compression="lz4")
    pq.write_table(flat, TARGET / "brotli.parquet", compression="brotli")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found, ensure_ascii=False)}" for name, found in rows.items())
    (TARGET / "rows.json").write_text(
        f'{{"files": {json.dumps(files)},\n"rows": {{\n{lines}\n}}}}\n', encoding="utf-8")
    print({path.name: path.stat().st_size for path in sorted(TARGET.iterdir())})


if __name__ == "__main__":
    main()
