import json

import pytest

from xmtf.errors import DataError
from xmtf.execution import Plan, ShardTask, read_plan, run_plan, run_task, write_plan
from xmtf.files import read_json
from xmtf.recipe.schema import Execution

FUNCTION = "xmtf.files:write_json"  # any function of xmtf will do where it is never called


def count_shard(spec, folder):
    """A shard function for tests: writes its number, keeps a tally of calls."""
    (folder / "value").write_text(str(spec["number"]))
    with open(spec["tally"], "a") as stream:
        stream.write("x")
    if spec.get("fail"):
        raise RuntimeError("this shard fails")
    return {"number": spec["number"]}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    tally = tmp_path / "tally"
    tally.write_text("")
    monkeypatch.setattr(Plan, "resolve", lambda self: count_shard)
    return Plan(FUNCTION, tuple(ShardTask(f"s{n}", {"number": n, "tally": str(tally)}, cost=n) for n in range(4)))


INLINE = Execution(engine="inline")


def test_results_come_in_the_order_of_the_plan(plan, tmp_path):
    assert [result["number"] for result in run_plan(plan, tmp_path / "out", INLINE)] == [0, 1, 2, 3]


def test_what_is_done_is_not_done_again(plan, tmp_path):
    run_plan(plan, tmp_path / "out", INLINE)
    run_plan(plan, tmp_path / "out", INLINE)
    assert (tmp_path / "tally").read_text() == "xxxx"


def test_a_changed_task_is_done_anew(plan, tmp_path):
    run_plan(plan, tmp_path / "out", INLINE)
    first, *rest = plan.tasks
    changed = Plan(FUNCTION, (ShardTask(first.name, first.spec | {"number": 9}), *rest))
    assert run_plan(changed, tmp_path / "out", INLINE)[0] == {"number": 9}
    assert (tmp_path / "tally").read_text() == "xxxxx"


def test_a_failed_task_leaves_no_folder_and_the_others_stay(plan, tmp_path):
    *first, last = plan.tasks
    broken = Plan(FUNCTION, (*first, ShardTask(last.name, last.spec | {"fail": True}, cost=0)))
    with pytest.raises(RuntimeError, match="this shard fails"):
        run_plan(broken, tmp_path / "out", INLINE)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".planned.json", "s0", "s1", "s2"]
    assert read_json(tmp_path / "out" / ".planned.json") == {"shards": 4}


def test_a_plan_is_a_file(tmp_path):
    plan = Plan(FUNCTION, (ShardTask("a", {"x": [1, None]}, cost=2.0),))
    write_plan(tmp_path / "plan.jsonl", plan)
    assert read_plan(tmp_path / "plan.jsonl") == plan


def test_progress_counts_up_to_all(plan, tmp_path):
    seen = []
    run_plan(plan, tmp_path / "out", INLINE, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("function", ["os:system", "xmtf.nowhere:f", "xmtf.files:nothing", "xmtfevil:f"])
def test_a_plan_file_cannot_name_foreign_functions(tmp_path, function):
    (tmp_path / "plan.jsonl").write_text(json.dumps({"function": function}) + "\n" + '{"name": "a", "spec": {}}\n')
    with pytest.raises(DataError):
        run_task(read_plan(tmp_path / "plan.jsonl"), 0, tmp_path / "out")
    assert not (tmp_path / "out" / "a").exists()
