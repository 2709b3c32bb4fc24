import nibabel as nib
import numpy as np
import pytest
import scipy.io

from neuroml.data import describe_file, read_traces
from neuroml.exceptions import DataError


def test_image(save_image, volumes):
    report = describe_file(save_image(volumes[0]))
    assert report.ok
    text = str(report)
    assert "a series of brain images" in text
    assert "4 x 4 x 3 voxels of 3 x 3 x 3 mm, stored as float32" in text
    assert "40 volumes" in text
    assert "read_fmri(path, mask=...) returns 40 times x 48 units, at 0.5 Hz, one every 2 s" in text
    assert "Nothing wrong was found" in text
    assert "read_fmri(path, labels=ATLAS)" in text


def test_image_with_everything_wrong(save_image, volumes):
    volumes[0][0, 0, 0, 0] = np.nan
    report = describe_file(save_image(volumes[0], tr=2000.0))
    assert not report.ok
    assert any("If milliseconds" in p or "milliseconds are meant" in p for p in report.problems)
    assert any("found 1 in 1 of 48 units: voxel_0_0_0" in problem for problem in report.problems)


def test_truncated_image(save_image, volumes):
    path = save_image(volumes[0], name="a.nii")
    path.write_bytes(path.read_bytes()[:3000])
    (problem,) = describe_file(path).problems
    assert problem.startswith("The file is truncated; expected 8032 bytes")


def test_atlas_and_mask(save_image, volumes):
    report = describe_file(save_image(volumes[2], name="atlas.nii.gz"))
    assert "3 different values above 0" in str(report)
    mask = describe_file(save_image((volumes[2] > 0).astype(np.uint8), name="mask.nii.gz"))
    assert mask.kind == "a mask"
    assert "30 voxels are inside" in str(mask)
    wrapped = describe_file(save_image(volumes[2].astype(np.int8), name="w.nii.gz"))
    assert (
        "atlas has negative ids; expected 0 for background and ids above 0; found [-126"
        in wrapped.problems[0]
    )


def test_every_array_format(written):
    report = describe_file(written)
    assert report.ok, report
    assert "12" in str(report) and "3" in str(report)


def test_table(tmp_path):
    (tmp_path / "a.csv").write_text("V1,WM,A1\n1,2,3\n1,5,n/a\n1,7,8\n")
    text = str(describe_file(tmp_path / "a.csv"))
    assert "3 rows and 3 named columns: V1, WM, A1" in text
    assert "confounds=['WM']" in text
    assert "Problem: Field signal: the signal has missing values" in text
    assert "1 in 1 of 3 units: A1" in text
    assert "read_traces(path, on_nan='keep') returns 3 times x 3 units, without a rate" in text


def test_events(tmp_path):
    (tmp_path / "a.tsv").write_text("onset\tduration\ttrial_type\n1\t2\ta\n")
    report = describe_file(tmp_path / "a.tsv")
    assert report.kind == "a table of events"
    assert "read_events" in report.advice


def test_trials(tmp_path):
    (tmp_path / "a.csv").write_text("mouse,stimulus,choice\na,1,left\na,2,right\n")
    report = describe_file(tmp_path / "a.csv")
    assert report.kind == "a table of trials" and "read_trials" in report.advice
    assert not report.problems


def test_transposed_and_constant_array(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 50))
    values[2] = 0
    np.save(tmp_path / "F.npy", values)
    report = describe_file(tmp_path / "F.npy")
    assert "one unit per row" in report.problems[0]
    assert "some units never vary" in report.problems[1] and "1 of 4 units: " in report.problems[1]
    assert "units_first=True, on_nan='keep') returns 50 times x 4 units" in report.facts[1]


def test_objects(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    assert "Python objects" in describe_file(tmp_path / "a.npz").problems[0]


def test_cell_arrays(tmp_path):
    cell = np.empty((1, 2), dtype=object)
    cell[0] = [np.ones((1, 3)), np.ones((1, 2))]
    scipy.io.savemat(tmp_path / "a.mat", {"spikes": cell})
    assert "read_spikes" in describe_file(tmp_path / "a.mat").advice
    nested = np.empty((1, 1), dtype=object)
    nested[0, 0] = cell
    scipy.io.savemat(tmp_path / "b.mat", {"spikes": nested})
    assert "more than vectors of numbers" in describe_file(tmp_path / "b.mat").problems[0]


def test_matlab_73(tmp_path, matlab_73, signal):
    matlab_73(tmp_path / "a.mat", x=signal)
    text = str(describe_file(tmp_path / "a.mat"))
    assert "x (12 x 3)" in text
    assert "axes in reverse" in text


def test_folders(tmp_path, signal):
    np.save(tmp_path / "F.npy", signal.T)
    report = describe_file(tmp_path)
    assert report.kind == "a plane folder of Suite2p"
    assert report.facts[0] == "F.npy: 3 regions x 12."
    assert "read_traces(path, rate_hz=...) returns 12 times x 3 units; sec" in report.facts[1]
    (tmp_path / "b" / "sub-01" / "func").mkdir(parents=True)
    (tmp_path / "b" / "sub-01" / "func" / "sub-01_task-x_bold.nii.gz").touch()
    report = describe_file(tmp_path / "b")
    assert report.facts == [
        "It has 1 subjects.",
        "It has 1 functional runs, 0 of them with events.",
    ]
    assert "the file is empty" in report.problems[0]
    (tmp_path / "c").mkdir()
    assert "does not know this kind of folder" in describe_file(tmp_path / "c").problems[0]


@pytest.mark.parametrize("name", ["absent.nii", "empty.csv", "other.docx", "junk.mat", "junk.h5"])
def test_bad_files_are_reports_not_errors(tmp_path, name):
    if name != "absent.nii":
        (tmp_path / name).write_bytes(b"" if name == "empty.csv" else b"junk" * 99)
    report = describe_file(tmp_path / name)
    assert len(report.problems) == 1
    assert report.problems[0][0].isupper()
    assert str(tmp_path) not in report.problems[0]


def test_real_files(shared_data):
    expected = {
        "nitime_small/fmri_timeseries.csv": "confounds=['WM', 'Vent', 'Brain']",
        "nitime_small/fmri1.nii.gz": "does not account for all bytes",
        "haxby_slices/bold.nii.gz": "1452 times x 530 units, at 0.4 Hz, one every 2.5 s",
        "haxby_slices/mask.nii.gz": "530 voxels are inside",
        "atlas_mni/atlas-desikankilliany.nii.gz": "83 different values",
        "nwb_small/A8604-211122.nwb": "3 units, 21354 spikes",
        "nwb_small/suite2p/plane0": "219 regions x 2000",
        "zebrafish_regions/timeseries_regions_fish6.npy": "found 3 of 70 units",
        "hippocampus_spikes/linear-track/spikes.mat": "more than vectors of numbers",
    }
    for name, sentence in expected.items():
        assert sentence in str(describe_file(shared_data / name)), name


UNIT_AND_TIME = "unit,time\n" + "".join(f"{i % 2},{i * 37}\n" for i in range(30))
TWO_CURVES = "".join(f"{np.sin(i)},{np.cos(i * i)}\n" for i in range(30))


@pytest.mark.parametrize(
    ("text", "asked", "returned"),
    [
        ("a,b\n" + TWO_CURVES, None, "read_traces(path) returns 30 times x 2 units"),
        (
            "time,a\n" + "".join(f"{i / 10},{i % 3}\n" for i in range(20)),
            "looks like a time axis",
            "read_traces(path, time='time') returns 20 times x 1 units, at 10 Hz",
        ),
        (UNIT_AND_TIME, "spike times of 0 are whole numbers", "read_spikes(path, bin_s=1.0, time_"),
        ("unit,time\na,0.25\nb,1.5\n", None, "read_spikes(path, bin_s=1.0) returns 2 times x 2"),
        ("a,b\n1,x\n2,y\n4,z\n", "read_traces, read_fmri: Field b: column 'b' has a cell", None),
    ],
)
def test_a_table_is_read_by_the_reader_that_takes_it(tmp_path, text, asked, returned):
    (tmp_path / "a.csv").write_text(text)
    report = describe_file(tmp_path / "a.csv")
    assert report.ok == (asked is None)
    assert asked is None or any(asked in problem for problem in report.problems), str(report)
    assert returned is None or any(returned in fact for fact in report.facts), str(report)
    assert (returned is None) == (not any(" returns " in fact for fact in report.facts))


def test_every_array_of_several_is_read(tmp_path, signal):
    gappy = np.where(signal > 1, np.nan, signal)
    np.savez(tmp_path / "a.npz", raw=signal, gappy=gappy)
    report = describe_file(tmp_path / "a.npz")
    assert any("read_traces(path, variable='raw') returns 12 times" in f for f in report.facts)
    (problem,) = report.problems
    assert "missing values" in problem
    assert any("variable='gappy', on_nan='keep') returns" in f for f in report.facts)


def test_suite2p_without_a_cell(tmp_path, signal):
    np.save(tmp_path / "F.npy", signal.T)
    np.save(tmp_path / "iscell.npy", np.zeros((3, 2)))
    (problem,) = describe_file(tmp_path).problems
    with pytest.raises(DataError) as caught:
        read_traces(tmp_path, rate_hz=1.0)
    assert caught.value.problem in problem


def test_a_clock_that_no_file_states_is_asked_for(tmp_path, signal, save_image, volumes):
    """A stand-in that gets a reader going is not shown as if the file had said it."""
    (tmp_path / "plane").mkdir()
    np.save(tmp_path / "plane" / "F.npy", signal.T)
    (tmp_path / "sorted").mkdir()
    np.save(tmp_path / "sorted" / "spike_times.npy", np.arange(0, 30000, 1000))
    np.save(tmp_path / "sorted" / "spike_clusters.npy", np.arange(30) % 2)
    (tmp_path / "sorted" / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n1\tgood\n")
    np.save(tmp_path / "traces.npy", signal)
    (tmp_path / "spikes.csv").write_text(UNIT_AND_TIME)
    arrays = [nib.gifti.GiftiDataArray(row.astype(np.float32)) for row in np.tile(signal, 4)]
    nib.save(nib.GiftiImage(darrays=arrays), tmp_path / "a.func.gii")
    asked = {
        tmp_path / "plane": ["rate_hz="],
        tmp_path / "traces.npy": ["rate_hz=", "tr_s="],  # as traces, and as fMRI
        tmp_path / "sorted": ["time_unit_s="],
        tmp_path / "spikes.csv": ["time_unit_s="],
        tmp_path / "a.func.gii": ["tr_s="],
        save_image(volumes[0], tr=0.0): ["tr_s="],
    }
    for path, options in asked.items():
        said = [fact for fact in describe_file(path).facts if " returns " in fact]
        assert len(said) == len(options), (path, said)
        for option, fact in zip(options, said, strict=True):
            assert f"seconds need {option}" in fact, (path, fact)
        assert not any(" Hz" in fact for fact in said), (path, said)
