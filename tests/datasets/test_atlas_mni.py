import nibabel as nib
import numpy as np
import pandas as pd

from neuroml.data import load_dataset, read_fmri


def test_it_has_files_and_no_recordings(shared_data):
    data = load_dataset("atlas_mni", data_dir=shared_data)
    assert data.recordings == data.events == []
    assert len(data.participants) == 0
    atlas = nib.load(data.files["atlas-desikankilliany.nii.gz"])
    table = pd.read_csv(data.files["atlas-desikankilliany.csv"])
    assert set(np.unique(atlas.dataobj)) == {0, *table["id"]}
    assert len(table) == 83
    assert table["label"].nunique() == 42
    assert not table.duplicated(["label", "hemisphere"]).any()


def test_an_image_is_read_through_it_into_83_differently_named_regions(shared_data):
    files = load_dataset("atlas_mni", data_dir=shared_data).files
    atlas = nib.load(files["atlas-desikankilliany.nii.gz"])
    ids = np.asarray(atlas.dataobj)
    volumes = [nib.Nifti1Image((ids * scale).astype(np.float32), atlas.affine) for scale in (1, 2)]
    recording = read_fmri(volumes, labels=atlas, units=files["atlas-desikankilliany.csv"], tr_s=2.0)
    table = pd.read_csv(files["atlas-desikankilliany.csv"])
    assert recording.sizes["unit"] == 83
    assert len(set(recording.unit.values)) == 83
    np.testing.assert_allclose(recording.signal.values[0], table["id"])
    left = recording.hemisphere.values == "L"
    assert (recording.x.values[left] < 0).all()
