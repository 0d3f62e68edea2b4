"""The table of per-user scores: written, read, and refused where it cannot be paired."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ci.errors import BadDataError
from ci.evaluating.per_user import Scores, read_scores, write_scores


def scores():
    return Scores(
        users=np.array(["a", "b", "c"]),
        metrics={
            "challenger": {"ndcg_at_10": np.array([0.5, 0.0, 1.0])},
            "live": {"ndcg_at_10": np.array([0.25, 0.0, 1.0]), "own": np.array([1.0, 2.0, 3.0])},
        },
        slices={"category": np.array(["tea", "tea", "coffee"])},
    )


def test_what_is_written_is_read(tmp_path):
    write_scores(tmp_path / "t.parquet", scores())
    seen = read_scores(tmp_path / "t.parquet")
    assert seen.users.tolist() == ["a", "b", "c"]
    assert seen.difference("challenger", "live", "ndcg_at_10").tolist() == [0.25, 0.0, 0.0]
    assert np.isnan(seen.metrics["challenger"]["own"]).all()
    assert seen.slices["category"].tolist() == ["tea", "tea", "coffee"]


def test_rows_are_paired_by_user_whatever_their_order(tmp_path):
    table = pa.table(
        {
            "user": ["b", "a", "a", "b"],
            "model": ["challenger", "challenger", "live", "live"],
            "ndcg_at_10": [0.2, 0.1, 0.01, 0.02],
            "slice_activity": ["many", "few", "few", "many"],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    seen = read_scores(tmp_path / "t.parquet")
    difference = seen.difference("challenger", "live", "ndcg_at_10")
    assert difference == pytest.approx([0.1 - 0.01, 0.2 - 0.02])
    assert dict(zip(seen.users, seen.slices["activity"], strict=True)) == {
        "a": "few",
        "b": "many",
    }


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"user": ["a", "b", "a"], "model": ["challenger", "challenger", "live"]}, "1 users"),
        ({"user": ["a", "a"], "model": ["live", "live"]}, "a user twice"),
        ({"user": ["a"]}, "no column model"),
        ({"user": [], "model": []}, "no rows"),
    ],
)
def test_a_table_that_cannot_be_paired_is_refused(tmp_path, columns, complaint):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(BadDataError, match=complaint):
        read_scores(tmp_path / "t.parquet")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_text("user,model\n")
    with pytest.raises(BadDataError, match="cannot be read"):
        read_scores(tmp_path / "t.parquet")
