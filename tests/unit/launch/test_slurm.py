"""Job scripts: what stands in them, that shells read them, and that no name gets out of its quotes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from xmtf.cli.runs.launch import _grace
from xmtf.errors import ConfigError, DataError
from xmtf.launch import Cluster, submit, write_scripts
from xmtf.recipe import load_recipe

RECIPE = {
    "name": "small",
    "own_tasks": "[{id: own, path: own.jsonl, templates: own.yaml, language: fr, role: evaluation}]",
    "mixture": "{tasks: [{catalogue: own}]}",
    "model": "{architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}",
    "training": "{steps: 1}",
    "evaluation": "{suites: [{name: own, tasks: [{catalogue: own}]}]}",
}
TRAIN = """\
#!/usr/bin/env bash
# small, stage 11 of 14: finetunes the model
# Written by `xmtf launch slurm`; see docs/cluster.md.
#SBATCH --job-name=small-train
#SBATCH --output=logs/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --partition=gpu
#SBATCH --account=project
#SBATCH --time=20:00:00
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=8
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --qos=long

source /shared/out/stage.sh
export OMP_NUM_THREADS=2
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))    # jobs that share a node do not meet
stop_file=/shared/runs/small/checkpoints/stop    # makes training save a checkpoint and stop
run_stage srun --ntasks-per-node=1 --cpus-per-task=16 --kill-on-bad-exit=1 \\
    /venv/bin/python -m torch.distributed.run \\
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node=8 \\
    --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$head:$port" \\
    --log-dir /dev/null \\
    -m xmtf.cli train /shared/recipe.yaml training.steps=9 execution.engine=pool execution.workers=16
"""
RENDER = """\
#!/usr/bin/env bash
# small, stage 2 of 14: renders the shards of the mixture
# Written by `xmtf launch slurm`; see docs/cluster.md.
#SBATCH --job-name=small-render
#SBATCH --output=logs/%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --partition=cpu
#SBATCH --account=project
#SBATCH --time=20:00:00
#SBATCH --array=0-3
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --qos=long

source /shared/out/stage.sh
run_stage /venv/bin/python -m xmtf.cli data run-task /shared/recipe.yaml training.steps=9 \
execution.engine=pool execution.workers=16 --jobs 4
"""
AFTER = """\
#!/usr/bin/env bash
# small, stage 12 of 14: queries the model after training
# Written by `xmtf launch slurm`; see docs/cluster.md.
#SBATCH --job-name=small-after
#SBATCH --output=logs/%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --partition=gpu
#SBATCH --account=project
#SBATCH --time=20:00:00
#SBATCH --array=0-15
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --gpus-per-node=1
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --qos=long

source /shared/out/stage.sh
run_stage /venv/bin/python -m xmtf.cli evaluate run /shared/recipe.yaml training.steps=9 \
execution.engine=pool execution.workers=16 --label after --jobs 16
"""
CLUSTER = Cluster(
    partition="gpu", cpu_partition="cpu", account="project", time="20:00:00", nodes=2, gpus_per_node=8,
    cpus_per_task=16, jobs=4, options=("--qos=long",),
)  # fmt: skip


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the scripts of a recipe in a folder of its own; return that folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")

    def write_(*overrides, cluster=CLUSTER, **changes):
        text = "\n".join(f"{key}: {value}" for key, value in (RECIPE | changes).items())
        (tmp_path / "recipe.yaml").write_text(text)
        loaded = load_recipe(tmp_path / "recipe.yaml", overrides)
        write_scripts(loaded, overrides, cluster, tmp_path / "out")
        return tmp_path / "out"

    return write_


def test_the_scripts_are_these(write, tmp_path):
    out = write("training.steps=9")
    assert (out / "train.sbatch").read_text().replace(str(tmp_path), "/shared") == TRAIN
    assert (out / "render.sbatch").read_text().replace(str(tmp_path), "/shared") == RENDER
    assert (out / "after.sbatch").read_text().replace(str(tmp_path), "/shared") == AFTER


def test_a_layout_that_the_processes_do_not_make_up_is_refused(write):
    with pytest.raises(ConfigError, match=r"training\.parallel.* needs 3 processes, but there are 16"):
        write("training.parallel.tp=3", "training.parallel.dp_replicate=1")
    assert (write("training.parallel.tp=4") / "train.sbatch").is_file()


def test_a_model_that_is_cut_is_evaluated_by_all_processes_in_one_job(write):
    cut = "evaluation.parallel.pp=2"
    text = (write(cut) / "after.sbatch").read_text()
    assert "#SBATCH --nodes=2\n" in text
    assert "--nproc-per-node=8" in text
    assert "stop_file" not in text  # a signal ends it: answers are written down batch by batch
    assert "--array" not in text
    with pytest.raises(ConfigError, match=r"--evaluation-jobs: with evaluation\.parallel an evaluation is one job"):
        write(cut, cluster=replace(CLUSTER, evaluation_jobs=4))
    with pytest.raises(ConfigError, match="needs 3 processes for each copy of the model, and 16 are not a multiple"):
        write("evaluation.parallel.pp=3")


def submitted(out, environment=None):
    """Run submit.sh with an sbatch that numbers its jobs; return its calls, by script."""
    tools = out / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "sbatch").write_text(f'#!/bin/sh\necho "$@" >>{out}/calls\necho "$(wc -l <{out}/calls | tr -d " ");one"\n')
    (tools / "sbatch").chmod(0o755)
    path = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["bash", str(out / "submit.sh")], check=True, env=path, capture_output=True)
    calls = [line.split() for line in (out / "calls").read_text().splitlines()]
    return {call[-1].removesuffix(".sbatch"): call[1:-1] for call in calls}


def test_every_stage_begins_after_those_that_it_needs(write):
    calls = submitted(write(cluster=Cluster(jobs=2, evaluation_jobs=2)))
    assert {name: "".join(options).removeprefix("--dependency=") for name, options in calls.items()} == {
        "plan": "",
        "render": "afterok:1",
        "order": "afterok:2",
        "parts": "afterok:3",
        "mixture": "afterok:4",
        "tokenizer": "afterok:5",
        "encode": "afterok:6",
        "tokens": "afterok:7",
        "before": "afterok:8",
        "before_scores": "afterok:9",
        "train": "afterok:8",
        "after": "afterok:11",
        "after_scores": "afterok:12",
        "report": "afterok:10:13",
    }


def test_one_job_evaluates_by_itself(write):
    calls = submitted(write(cluster=Cluster(jobs=1)))
    assert list(calls) == ["plan", "render", "mixture", "tokens", "before", "train", "after", "report"]
    assert calls["report"] == ["--dependency=afterok:5:7"]


def test_files_of_stages_that_are_no_more_go(write):
    assert (write() / "after_scores.sbatch").exists()
    folder = write(cluster=replace(CLUSTER, evaluation_jobs=1))
    assert not (folder / "after_scores.sbatch").exists()
    assert (folder / "after.sbatch").exists()


def test_files_of_others_are_not_written_among(write, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    with pytest.raises(ConfigError, match="contains something other than jobs of Slurm"):
        write()


def test_a_recipe_without_suites_has_no_evaluation(write):
    calls = submitted(write(evaluation="{}"))
    built = ["plan", "render", "order", "parts", "mixture", "tokenizer", "encode", "tokens"]
    assert list(calls) == [*built, "train", "report"]
    assert calls["report"] == ["--dependency=afterok:9"]


HOSTILE = 'a\'; touch pwned; $(touch pwned) `touch pwned` "b" #SBATCH --wrap=pwned'


def test_text_of_the_recipe_stays_in_its_quotes(write, tmp_path, monkeypatch):
    hostile = tmp_path / "it's a $(touch pwned) folder"
    hostile.mkdir()
    monkeypatch.setenv("XMTF_DATA_ROOT", str(hostile))
    out = write(f"description={json.dumps(HOSTILE)}", f"name={json.dumps(HOSTILE)}", "offline=true")
    for path in out.glob("*.s*"):
        subprocess.run(["bash", "-n", str(path)], check=True)
        directives = [line for line in path.read_text().splitlines() if line.startswith("#SBATCH")]
        assert not any("pwned" in line and "--job-name=" not in line for line in directives)
        assert all(" " not in line.removeprefix("#SBATCH ") for line in directives)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python").write_text(
        '#!/bin/sh\nfor argument in "$@"; do printf "%s\\0" "$argument"; done >arguments\n'
        'printf "%s\\0" "$XMTF_DATA_ROOT" "$HF_HUB_OFFLINE" "$HF_DATASETS_OFFLINE" >environment\n'
    )
    (tools / "python").chmod(0o755)
    script = (out / "plan.sbatch").read_text().replace("/venv/bin/python", str(tools / "python"))
    environment = os.environ | {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "small-plan"}
    subprocess.run(["bash", "-c", script], check=True, env=environment, cwd="/")
    arguments = (tmp_path / "arguments").read_text().split("\0")
    assert f"description={json.dumps(HOSTILE)}" in arguments
    assert (tmp_path / "environment").read_text().split("\0")[:3] == [str(hostile), "1", "1"]
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    ("key", "message"), [("name", "is not a file name"), ("run_folder", "which job scripts do not allow")]
)
def test_a_line_break_is_refused(write, key, message):
    value = json.dumps("runs/a\n#SBATCH --wrap=pwned")
    with pytest.raises(ConfigError, match=message):
        write(f"{key}={value}")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("partition", "gpu --wrap=x"),
        ("partition", "-x"),
        ("cpu_partition", "a b"),
        ("account", "me\n#SBATCH --wrap=x"),
        ("time", "tomorrow"),
        ("memory", "much"),
        ("options", ("qos=long",)),
        ("options", ("--wrap=$(x)",)),
    ],
)
def test_what_slurm_would_misread_is_refused(option, value):
    with pytest.raises(ConfigError, match=f"--{'mem' if option == 'memory' else option.rstrip('s').replace('_', '-')}"):
        Cluster(**{option: value})


@pytest.mark.parametrize("time", ["30", "20:00", "20:00:00", "1-12", "1-12:30", "2-00:00:00"])
def test_time_limits_are_written_as_slurm_does(time):
    assert Cluster(time=time).time == time


def test_without_slurm_the_file_to_run_elsewhere_is_named(write, monkeypatch):
    out = write()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"sbatch is not installed on this machine.*submit\.sh"):
        submit(out)


def test_what_slurm_refuses_is_said(write, tmp_path, monkeypatch):
    out = write()
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DataError, match="invalid partition"):
        submit(out)


def run_stage(out, tmp_path, command):
    """Run a command as a stage of a job; return its exit code and what Slurm was asked."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    (tools / "scontrol").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "12",
        "SLURM_JOB_NAME": "small-render",
        "SLURM_ARRAY_JOB_ID": "9",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    code = subprocess.run(["bash", "-c", f"source {out}/stage.sh; {command}"], env=environment).returncode
    asked = tmp_path / "asked"
    text = asked.read_text() if asked.exists() else ""
    asked.unlink(missing_ok=True)
    return code, text


def test_a_killed_command_is_queued_again_three_times(write, tmp_path):
    out = write()
    for _ in range(3):
        assert run_stage(out, tmp_path, "run_stage bash -c 'kill -9 $$'") == (137, "requeue 9_3\n")
    assert run_stage(out, tmp_path, "run_stage bash -c 'kill -9 $$'") == (137, "")


def test_a_success_forgets_the_failures_and_wrong_input_is_not_tried_again(write, tmp_path):
    out = write()
    run_stage(out, tmp_path, "run_stage false")
    assert len(list((out / "logs").glob("*.failed"))) == 1
    assert run_stage(out, tmp_path, "run_stage true") == (0, "")
    assert not list((out / "logs").glob("*.failed"))
    assert run_stage(out, tmp_path, "run_stage bash -c 'exit 2'") == (2, "")


def test_before_the_time_limit_training_is_asked_to_save_and_queued_again(write, tmp_path):
    stop = tmp_path / "checkpoints" / "stop"
    trains = f"while [ ! -e {stop} ]; do sleep 0.05; done; rm {stop}; exit 130"
    command = f"stop_file={stop}; (sleep 0.5; kill -TERM $$) & run_stage bash -c '{trains}'"
    assert run_stage(write(), tmp_path, command) == (130, "requeue 9_3\n")


def test_before_the_time_limit_other_stages_are_ended_and_queued_again(write, tmp_path):
    command = "(sleep 0.5; kill -TERM $$) & run_stage sleep 60"
    assert run_stage(write(), tmp_path, command) == (143, "requeue 9_3\n")


def test_the_scripts_are_data_of_the_package():
    import xmtf.launch

    assert (Path(xmtf.launch.__file__).parent / "stage.sh").is_file()


def test_sites_add_lines_containers_and_restarts(write, tmp_path):
    cluster = replace(
        CLUSTER,
        setup=("module load cuda/12.8", 'export NCCL_SOCKET_IFNAME="ib0"'),
        within=("apptainer", "exec", "--nv", "a b.sif"),
        max_restarts=2,
    )
    out = write(cluster=cluster)
    stage = (out / "stage.sh").read_text()
    assert 'module load cuda/12.8\nexport NCCL_SOCKET_IFNAME="ib0"\nset -u\n' in stage
    assert "run_stage apptainer exec --nv 'a b.sif' /venv/bin/python -m xmtf.cli data run-task" in (
        (out / "render.sbatch").read_text()
    )
    train = (out / "train.sbatch").read_text()
    assert "    apptainer exec --nv 'a b.sif' /venv/bin/python -m torch.distributed.run" in train
    assert "--log-dir /dev/null --max-restarts 2" in train
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "module").write_text('#!/bin/sh\necho "loaded $2" >"$XMTF_TOLD"\n')
    (tmp_path / "tools" / "module").chmod(0o755)
    environment = {"PATH": f"{tmp_path}/tools:{os.environ['PATH']}", "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "a"}
    environment |= {"XMTF_TOLD": str(tmp_path / "told")}
    told = subprocess.run(
        ["bash", "-c", f"source {out}/stage.sh; echo $NCCL_SOCKET_IFNAME"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (told.stdout, (tmp_path / "told").read_text()) == ("ib0\n", "loaded cuda/12.8\n")


@pytest.mark.parametrize(("layers", "nodes", "grace"), [(1, 1, 120), (40, 1, 2427), (40, 8, 356)])
def test_the_time_to_save_is_that_of_a_checkpoint(write, tmp_path, layers, nodes, grace):
    """40 blocks of 14,336 are 98.6e9 numbers of 12 bytes: 1,184 GB; a node writes a gigabyte in a second."""
    shape = f"{{architecture: bloom, hidden_size: 14336, num_layers: {layers}, num_heads: 112, vocab_size: 1000}}"
    write(model=shape)
    loaded = load_recipe(tmp_path / "recipe.yaml")
    assert _grace(loaded, nodes) == pytest.approx(grace, rel=0.01)
