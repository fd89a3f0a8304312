"""What --precision saves and loses: a score file written again at each, its bytes a token, and how alike scores are.

    python benchmarks/precision.py RUN/scores/SHARD.parquet --behaviour toxic

Printed: compressed bytes a token, of influence and of all; rank correlation with float32; the share of the top 2 % that
stays the same; the largest relative error.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.distilling.measures import rank_correlation, top_overlap
from ifcurate.influence.precision import SIGNIFICANT_BITS, rounded
from ifcurate.selection.scores import influence_column, writing_scores

TOP = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, help="a run's score file, of float32")
    parser.add_argument("--behaviour", default="toxic")
    asked = parser.parse_args()
    name = influence_column(asked.behaviour)
    (batch,) = pq.read_table(asked.scores).replace_schema_metadata().combine_chunks().to_batches()
    exact = batch[name].values.to_numpy()
    print(f"{len(exact):,} tokens, {asked.scores.stat().st_size / len(exact):.2f} bytes a token as the file is")
    for precision in SIGNIFICANT_BITS:
        values = rounded(exact, precision)
        column = pa.ListArray.from_arrays(batch[name].offsets, pa.array(values))
        place = batch.schema.get_field_index(name)
        influence, everything = sizes(batch.set_column(place, batch.schema.field(name), column), name)
        error = np.max(np.abs(values - exact)[exact != 0] / np.abs(exact[exact != 0]), initial=0)
        order, top = rank_correlation(values, exact), top_overlap(values, exact, TOP)
        print(f"{precision:>9}: influence {influence / len(exact):.2f}, all {everything / len(exact):.2f}")
        print(f"           rank correlation {order:.8f}, top {TOP:.0%} {top:.2%}, error {error:.1e}")


def sizes(batch: pa.RecordBatch, name: str) -> tuple[int, int]:
    """Bytes of the column `name` and of the file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scores.parquet"
        with writing_scores(file, batch.schema) as sink:
            sink.write(batch)
        group = pq.read_metadata(file).row_group(0)
        columns = [group.column(number) for number in range(group.num_columns)]
        own = sum(each.total_compressed_size for each in columns if each.path_in_schema.startswith(name))
        return own, file.stat().st_size


if __name__ == "__main__":
    main()
