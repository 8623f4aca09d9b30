"""The command that judges guides on a folder of tables."""

import numpy as np
import pytest

from benchmarks import guide_scores


def test_tables_of_a_folder_are_judged(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [80, 40])
    noise = rng.normal(size=(120, 8))
    known = noise + 3 * y[:, None]
    known[0, 0] = np.nan
    np.savez(tmp_path / "noise.npz", X=noise, y=y)
    np.savez(tmp_path / "known.npz", X=known, y=y)
    monkeypatch.setattr("sys.argv", ["guide_scores", str(tmp_path)])
    guide_scores.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("known")
    assert not lines[0].endswith("warned")
    assert lines[1].startswith("noise")
    assert lines[1].endswith("warned")
    assert lines[2] == "2 tables, 1 guides 0.1 above chance, 0 of these warned of"


@pytest.mark.parametrize("score", [0.62, 0.58])
def test_a_tenth_above_chance(score):
    assert guide_scores.Judged(score, 0.5, warned=False).above == (score > 0.6)
