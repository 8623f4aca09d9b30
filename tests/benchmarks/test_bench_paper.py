import pytest

from benchmarks import paper
from benchmarks.paper import paper_cells, paper_column


def test_cells_of_m2m_on_reuters():
    told = {r: (c.value, c.std) for r, c in paper_column("M2m", "2", "Reuters bACC").items()}
    assert told["ERM"] == (59.8, 1.17)
    assert told["M2m"] == (66.3, 0.42)
    assert told["LDAM+M2m"] == (70.0, 0.68)
    assert len(told) == 11
    assert paper_column("M2m", "2", "Reuters GM")["LDAM+M2m"][4:6] == (63.9, 0.49)


def test_all_papers_are_there_and_every_cell_is_one():
    cells = paper_cells()
    assert {c.paper for c in cells} == {
        *("M2m", "DM", "OTMix", "Open-sampling", "SAFA", "imbalanced-DL")
    }
    assert len({c[:4] for c in cells}) == len(cells)
    shares = [c for c in cells if c.table != "time"]
    assert all(0 < c.value < 100 for c in shares)
    assert all(c.std is None or 0 < c.std < 5 for c in cells)


def test_misprints_are_noted():
    wrong = paper_column("DM", "1", "CIFAR-LT-10 IF 50 error")["DM"]
    right = paper_column("DM", "3", "CIFAR-LT-10 IF 50 error")["CE+DM"]
    assert (wrong.value, right.value) == (12.96, 15.96)
    assert "read 15.96" in wrong.note
    error = "CIFAR-LT-100 IF 200 error"
    safa = paper_column("SAFA", "1 and 6", error)
    assert safa["CE"].value == safa["CB-CE"].value
    assert "repeats the row CB-CE" in safa["CE"].note


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('"A" = ["1"]', "Row 'A' of P, table 1 must have 2 entries. Got 1."),
        ('"A" = ["1", "x±1"]', "P, table 1, A, c2 must be a number such as '66.3±.42', or '-'."),
    ],
)
def test_slips_are_named(tmp_path, monkeypatch, rows, said):
    path = tmp_path / "cells.toml"
    path.write_text(
        f'[[table]]\npaper = "P"\ntable = "1"\ncolumns = ["c1", "c2"]\n[table.rows]\n{rows}\n'
    )
    monkeypatch.setattr(paper, "FILE", path)
    with pytest.raises(ValueError, match=said):
        paper_cells.__wrapped__()


def test_unknown_columns_list_what_exists():
    said = "M2m, table 5, has no column 'Reuters'. Got cells of: .*'CIFAR-LT-10 IF 100 bACC'"
    with pytest.raises(ValueError, match=said):
        paper_column("M2m", "5", "Reuters")
