"""Every file of the list is refused, and told about by ``neuroml data check``."""

import pytest
from damaged import CASES

from neuroml.data import describe_file
from neuroml.exceptions import DataError


def test_the_list_is_long_and_names_each_case_once():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_with_a_reason(case, tmp_path):
    path = case.make(tmp_path)
    with pytest.raises(DataError, match=case.said):
        case.read(path)
    report = describe_file(path)
    if case.alone:
        assert report.problems, str(report)
