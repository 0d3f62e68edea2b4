"""Duplicates, bots, k-core, sessions and numbering, on logs small enough to follow by hand."""

from dataclasses import replace

from model.data.contract import Meaning
from tests.model.shops import LOOSE, prepared_from, write_log

SIMPLE = "user_id,item_id,timestamp"


def log(folder, rows, header=SIMPLE):
    return write_log(folder / "events.csv", rows, header)


def test_the_earliest_copy_of_an_event_is_kept(tmp_path):
    rows = [
        "e1,u1,late,view,,,1,1,2026-01-03",
        "e1,u1,early,view,,,1,1,2026-01-01",
        "e1,u1,early,view,,,1,1,2026-01-01",
        "e2,u1,other,view,,,1,1,2026-01-04",
    ]
    found = prepared_from(write_log(tmp_path / "events.csv", rows), test_days=1)
    assert found.accounting.duplicates == 2
    assert found.items["item_id"].tolist() == ["early"]
    assert found.outside_ids == ["other"]


def test_a_later_copy_with_other_content_does_not_replace_the_event(tmp_path):
    rows = [
        "e1,aaa,a,cart,,,1,1,2026-01-09",  # first by every column but the time
        "e1,u1,early,view,,,1,1,2026-01-01",
        "e2,u1,early,view,,,1,1,2026-01-09",
    ]
    found = prepared_from(write_log(tmp_path / "events.csv", rows))
    assert found.users["user_id"].tolist() == ["u1"]
    assert found.accounting.duplicates == 1


def test_a_log_without_event_ids_has_no_duplicates_and_the_same_result_in_any_order(tmp_path):
    rows = [f"u{n % 2},i{n % 3},2026-01-0{n % 4 + 1}T10:00:00Z" for n in range(24)]
    found = prepared_from(log(tmp_path, rows), meaning=Meaning("view"))
    again = prepared_from(log(tmp_path, rows[::-1]), meaning=Meaning("view"))
    assert found.accounting.duplicates == 0
    assert found.accounting.kept == 24
    for name, values in found.events.items():
        assert values.tobytes() == again.events[name].tobytes(), name


def test_k_core_is_repeated_until_nothing_changes(tmp_path):
    # b falls for want of a second event, then ann has one left and falls, then c, then bob.
    rows = ["ann,b", "ann,c", "bob,c", "bob,d", *["cid,d", "cid,e"] * 2, "dan,e", "dan,d"]
    rows = [f"{row},2026-01-01T10:00:0{n}Z" for n, row in enumerate(rows)]
    rows.append("zoe,e,2026-01-05")
    limits = replace(LOOSE, min_user_events=2, min_item_events=2)
    found = prepared_from(log(tmp_path, rows), meaning=Meaning("view"), limits=limits)
    assert found.users["user_id"].tolist() == ["cid", "dan", "zoe"]
    assert sorted(found.items["item_id"]) == ["d", "e"]
    assert found.accounting.filtered == {"rare user or item": 4}


def test_k_core_does_not_judge_rows_after_the_cut(tmp_path):
    rows = ["ann,a,2026-01-01", "ann,a,2026-01-01", "ann,b,2026-01-05", "bob,a,2026-01-05"]
    limits = replace(LOOSE, min_user_events=2, min_item_events=2)
    found = prepared_from(log(tmp_path, rows), meaning=Meaning("view"), limits=limits)
    assert found.accounting.kept == 4
    assert found.events["item_index"].tolist() == [1, 1, 0, 1]
    assert found.events["outside_index"].tolist() == [0, 0, 1, 0]


def test_a_bot_after_the_cut_keeps_its_past(tmp_path):
    rows = [f"early,i,2026-01-01T10:00:{n:02}Z" for n in range(4)]
    rows += ["early,i,2026-01-05", "late,i,2026-01-01"]
    rows += [f"late,i,2026-01-05T10:00:{n:02}Z" for n in range(4)]
    rows += ["calm,i,2026-01-01"] * 3
    limits = replace(LOOSE, max_events_per_day=3)
    found = prepared_from(log(tmp_path, rows), meaning=Meaning("view"), limits=limits)
    assert found.accounting.filtered == {"bot": 5 + 4}
    assert found.bots == ["early", "late"]
    assert found.users.to_dict("list")["user_id"] == ["calm", "late"]


def test_sessions_break_at_a_longer_pause_only(tmp_path):
    seconds = [0, 1800, 3601, 3602, 9000]
    rows = [f"u,i,{1767225600 + second}" for second in seconds] + ["v,i,1767225600"]
    found = prepared_from(log(tmp_path, rows), meaning=Meaning("view"))
    assert found.events["session"].tolist() == [0, 0, 1, 1, 2, 0]


def test_items_are_numbered_by_purchases_before_the_cut_then_by_events_then_by_id(tmp_path):
    header = "user_id,item_id,event_type,timestamp"
    rows = ["u,x,purchase"] * 2 + ["u,y,view"] * 5 + ["u,b,purchase", "u,a,purchase", "u,z,view"]
    rows = [f"{row},2026-01-01T00:00:{n:02}Z" for n, row in enumerate(rows)]
    rows += [f"u,z,purchase,2026-01-0{day}" for day in (5, 6)] + ["u,new,view,2026-01-06"]
    found = prepared_from(log(tmp_path, rows, header), test_days=2)
    assert found.items["item_id"].tolist() == ["x", "a", "b", "y", "z"]
    assert found.items["train_count"].tolist() == [2, 1, 1, 0, 0]
    assert found.outside_ids == ["new"]


def test_without_purchases_events_are_counted(tmp_path):
    rows = ["u,x,2026-01-01", "u,y,2026-01-01", "u,y,2026-01-02", "u,x,2026-01-09"]
    found = prepared_from(log(tmp_path, rows), meaning=Meaning("view"))
    assert found.items.to_dict("list")["train_count"] == [2, 1]
    assert found.items["item_id"].tolist() == ["y", "x"]


def test_newcomers_are_numbered_after_everyone_known_before_the_cut(tmp_path):
    rows = ["zoe,i,2026-01-01", "bob,i,2026-01-01", "ann,i,2026-01-05"]
    found = prepared_from(log(tmp_path, rows), meaning=Meaning("view"))
    assert found.users["user_id"].tolist() == ["bob", "zoe", "ann"]
    assert found.users["train_events"].tolist() == [1, 1, 0]


def test_unknown_users_returns_and_rows_outside_the_clock_are_filtered_by_name(tmp_path):
    header = "user_id,item_id,event_type,quantity,timestamp"
    rows = [
        "0,i,purchase,1,2026-01-03",
        "u,i,purchase,-1,2026-01-03",
        "u,i,purchase,1,2026-01-03",
        "u,i,impression,1,2026-01-03",
        "u,,search,1,2026-01-03",
        "u,i,view,1,2025-01-01",
        "u,i,view,1,2026-01-08",
    ]
    limits = replace(LOOSE, unknown_users=("0",))
    found = prepared_from(
        log(tmp_path, rows, header), limits=limits, as_of="2026-01-05", window_days=30
    )
    assert found.accounting.filtered == {
        "after as_of": 1,
        "before the window": 1,
        "impression": 1,
        "return": 1,
        "search": 1,
        "unknown user": 1,
    }
    assert found.accounting.kept == 1


def test_a_row_may_be_a_whole_basket(tmp_path):
    rows = ["u,a b,2026-01-01", "u,b,2026-01-02"]
    source = replace(log(tmp_path, rows), item_separator=" ")
    found = prepared_from(source, meaning=Meaning("purchase"), test_days=9)
    assert found.accounting.rows == 3
    assert found.outside_ids == ["a", "b"]
