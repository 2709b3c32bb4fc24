"""What the wheel holds, and that a clash with libNeuroML is told in one sentence."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import neuroml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


def test_wheel_holds_the_package_cards_recipes_and_samples(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "neuroml/py.typed",
        "neuroml/report/templates/report.html.j2",
        "neuroml/_datasets/nitime_fmri/card.toml",
        "neuroml/_datasets/nitime_fmri/recipe.toml",
        "neuroml/_datasets/nitime_fmri/prepare.py",
        "neuroml/_datasets/nitime_fmri/sample/fmri_timeseries.csv",
        "neuroml/_datasets/nitime_fmri/sample/LICENSE",
    ):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"neuroml", f"neuroml_learn-{neuroml.__version__}.dist-info"}
    assert not any("__pycache__" in name or name.endswith(".pyc") for name in names)


def libneuroml_wheel(folder):
    """A stand-in with the file layout of libNeuroML."""
    path = folder / "libNeuroML-0.6.7-py3-none-any.whl"
    info = "libNeuroML-0.6.7.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("neuroml/__init__.py", "from .nml import Cell\n__version__ = '0.6.7'\n")
        archive.writestr("neuroml/nml/__init__.py", "class Cell: pass\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: libNeuroML\nVersion: 0.6.7\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("ours_last", [False, True])
def test_clash_with_libneuroml_is_told_in_both_install_orders(wheel, tmp_path, ours_last):
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    (site / "outer.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    wheels = [libneuroml_wheel(tmp_path), wheel]
    for path in wheels if ours_last else wheels[::-1]:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "--python",
                str(python),
                "install",
                "--quiet",
                "--no-deps",
                "--no-index",
                "--force-reinstall",
                str(path),
            ],
            check=True,
        )
    for command in (["-c", "import neuroml.data"], ["-m", "neuroml.cli", "data", "list"]):
        result = subprocess.run(
            [python, *command], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert result.returncode != 0
        assert "mixes neuroml-learn" in result.stderr and "libNeuroML" in result.stderr
