"""The command line as a user types it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from neuroml import cli

pytest_plugins = ["batch.conftest"]


def neuroml(*arguments, **options):
    """Run the command in a process of its own, as the console script does."""
    return subprocess.run(
        [sys.executable, "-m", "neuroml.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_the_main_job_runs_outside_the_clone(tmp_path):
    result = neuroml("run", "nitime_fmri", "--out", "results", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "1 done, 0 skipped, 0 failed"
    assert (tmp_path / "results" / "report.html").is_file()
    assert (tmp_path / "results" / "manifest.jsonl").is_file()
    info = neuroml("info", "results/jobs/sub-01/model.safetensors", cwd=tmp_path).stdout
    assert "neuroml.connectome.NonnegativeCP" in info and "reconstruction_err_: 0." in info
    again = neuroml("run", "nitime_fmri", "--out", "results", cwd=tmp_path)
    assert again.stdout.splitlines()[-1] == "0 done, 1 skipped, 0 failed"


def test_failures_exit_with_3_and_say_why(cohort, tmp_path):
    result = neuroml("run", cohort / "recipe.toml", "--out", tmp_path / "out")
    assert result.returncode == 3
    assert result.stdout.splitlines()[-1] == "2 done, 0 skipped, 1 failed"
    assert "failed sub-02" in result.stderr and "constant" in result.stderr


def test_check_counts_the_work_and_writes_nothing(cohort):
    before = sorted(cohort.rglob("*"))
    result = CliRunner().invoke(cli.app, ["run", str(cohort / "recipe.toml"), "--check"])
    assert result.exit_code == 0
    assert "is valid: 3 jobs" in result.output and "sub-02 (1 recording)\n" in result.output
    assert sorted(cohort.rglob("*")) == before


def test_the_package_is_the_command(cohort):
    command = [sys.executable, "-m", "neuroml", "run", str(cohort / "sub-01.csv"), "--check"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "is not valid TOML" in told.stderr and "neuroml init writes a recipe" in told.stderr


def test_check_says_what_the_report_will_not_show(cohort):
    path = cohort / "recipe.toml"
    path.write_text(path.read_text().split('[[fit.steps]]\nuse = "NonnegativeCP"')[0])
    result = CliRunner().invoke(cli.app, ["run", str(path), "--check"])
    assert result.exit_code == 0
    assert "no figures of SlidingWindowConnectivity" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nitime_fmr", "--check"], "did you mean 'nitime_fmri'"),
        (["run", "nitime_fmri"], "--out"),
        (["info", "absent.safetensors"], "absent.safetensors"),
        (["report", "."], "not the folder of a run"),
    ],
)
def test_mistakes_get_a_sentence_and_no_traceback(arguments, message, tmp_path):
    result = neuroml(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr


def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(cohort, tmp_path):
    text = (
        (cohort / "recipe.toml")
        .read_text()
        .replace("n_init = 2", "n_init = 2\ntol = 0\nmax_iter = 3000")
    )
    (cohort / "recipe.toml").write_text(text)
    (cohort / "sub-02.csv").unlink()
    for number in range(4, 9):  # work for seconds, so that the interrupt cannot come too late
        shutil.copy(cohort / "sub-01.csv", cohort / f"sub-0{number}.csv")
    command = [
        sys.executable,
        "-m",
        "neuroml.cli",
        "run",
        str(cohort / "recipe.toml"),
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # tests that run in the background of a script inherit that interrupts are ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(600):
        if (tmp_path / "out" / "jobs" / "sub-01" / "summary.json").is_file():
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "The same command goes on from here" in stderr and "Traceback" not in stderr
    result = neuroml(*command[3:])
    done, skipped = map(int, re.findall(r"(\d+) (?:done|skipped)", result.stdout))
    assert done + skipped == 7 and skipped >= 1 and result.stdout.strip().endswith(", 0 failed")


def test_data_list_names_every_data_set():
    result = CliRunner().invoke(cli.app, ["data", "list"])
    for name in ("nitime_fmri", "song_fmri", "celegans_neuropal"):
        assert name in result.output


def test_data_check_tells_good_from_bad(tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.nii"
    good.write_text("a,b\n1,2\n2,1\n3,5\n")
    bad.write_bytes(b"not an image")
    fine = CliRunner().invoke(cli.app, ["data", "check", str(good)])
    assert fine.exit_code == 0 and "good.csv" in fine.output
    broken = CliRunner().invoke(cli.app, ["data", "check", str(good), str(bad)])
    assert broken.exit_code == 1 and "bad.nii" in broken.output


@pytest.mark.parametrize(
    "command", [["--help"], ["run", "--help"], ["data", "check", "--help"], ["info", "--help"]]
)
def test_help_has_examples(command):
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 0
    assert command == ["--help"] or "Example: neuroml" in result.output
