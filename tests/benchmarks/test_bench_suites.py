import inspect
import re

import pytest

from benchmarks.components import COMPONENTS, build, find
from benchmarks.paper import paper_cells, paper_column
from benchmarks.suites import load_suite, merged, suite_names

TEXT = """
title = "T"
references = ["A"]
[protocol]
seeds = 4
data = { name = "digits", imbalance_factor = 20 }
[protocol.classifier]
make = "m:C"
lr = 0.1
[protocol.parts.one]
make = "m:S"
n = 3
g = { guide = "erm" }
[protocol.guides.erm]
classifier.epochs = 7
[variants.plain]
[variants.fast]
classifier.lr = 1.0
parts.one.n = 5
[[rows]]
name = "A"
[[rows]]
name = "B"
paper_row = "Bee"
classifier.resampler = { part = "one", k = 1 }
variants.fast.classifier.batch = 8
[[rows]]
name = "C"
only = ["fast"]
sampler = { part = "one" }
"""


def write(folder, text, name="t"):
    path = folder / f"{name}.toml"
    path.write_text(text)
    return str(path)


@pytest.fixture
def suite(tmp_path):
    return load_suite(write(tmp_path, TEXT))


def spec(suite, row, variant):
    (run,) = suite.chosen(rows=[row], variants=[variant])
    return run.spec


def test_rows_come_once_per_variant(suite):
    assert [(r.variant, r.row) for r in suite.runs] == [
        ("plain", "A"),
        ("plain", "B"),
        ("fast", "A"),
        ("fast", "B"),
        ("fast", "C"),
    ]
    assert (suite.name, suite.n_seeds, suite.references) == ("t", 4, ["A"])
    assert [run.paper_row for run in suite.runs] == ["A", "Bee", "A", "Bee", "C"]


def test_layers_lie_over_each_other(suite):
    assert spec(suite, "A", "plain") == {
        "data": {"name": "digits", "imbalance_factor": 20},
        "validation": 0.1,
        "threads": 1,
        "classifier": {"make": "m:C", "lr": 0.1},
    }
    assert spec(suite, "A", "fast")["classifier"] == {"make": "m:C", "lr": 1.0}


def test_parts_and_guides_are_filled_in(suite):
    assert spec(suite, "B", "fast") == {
        "data": {"name": "digits", "imbalance_factor": 20},
        "validation": 0.1,
        "threads": 1,
        "classifier": {
            "make": "m:C",
            "lr": 1.0,
            "batch": 8,
            "resampler": {"make": "m:S", "n": 5, "g": {"guide": "erm"}, "k": 1},
        },
        # a guide is trained by the protocol, not with what the row adds
        "guides": {"erm": {"classifier": {"make": "m:C", "lr": 1.0, "epochs": 7}}},
    }
    assert spec(suite, "C", "fast")["sampler"] == {"make": "m:S", "n": 5, "g": {"guide": "erm"}}


def test_another_class_drops_the_parameters_of_the_first():
    below = {"criterion": {"use": "a:A", "margin": 1}, "data": {"name": "x", "size": 2}}
    above = {"criterion": {"use": "b:B"}, "data": {"name": "x", "fold": 1}}
    assert merged(below, above) == {
        "criterion": {"use": "b:B"},
        "data": {"name": "x", "size": 2, "fold": 1},
    }
    assert below["data"] == {"name": "x", "size": 2}  # untouched


def test_a_suite_extends_another(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.suites.FOLDER", tmp_path)
    write(tmp_path, TEXT, "base")
    more = 'extends = "base"\ninclude = ["B"]\n[protocol]\nseeds = 2\n[[rows]]\nname = "D"\n'
    write(tmp_path, more, "more")
    suite = load_suite("more")
    assert [(r.variant, r.row) for r in suite.runs] == [
        ("plain", "B"),
        ("plain", "D"),
        ("fast", "B"),
        ("fast", "D"),
    ]
    assert suite.n_seeds == 2
    assert spec(suite, "B", "fast") == spec(load_suite("base"), "B", "fast")
    assert spec(suite, "D", "plain") == spec(load_suite("base"), "A", "plain")


def test_all_rows_are_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.suites.FOLDER", tmp_path)
    write(tmp_path, TEXT, "base")
    write(tmp_path, 'extends = "base"\ninclude = "all"\n[protocol]\nseeds = 2\n', "more")
    suite = load_suite("more")
    assert suite.runs == load_suite("base").runs
    assert suite.n_seeds == 2


def test_of_the_variants_some_or_none_are_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.suites.FOLDER", tmp_path)
    write(tmp_path, TEXT, "base")
    head = 'extends = "base"\ninclude = ["B"]\n'
    write(tmp_path, f'{head}variants = ["fast"]\n', "some")
    assert load_suite("some").variants == ["fast"]
    write(tmp_path, f"{head}[variants.own]\nclassifier.lr = 9\n", "own")
    (run,) = load_suite("own").runs
    assert (run.variant, run.spec["classifier"]["lr"]) == ("own", 9)
    write(tmp_path, f'{head}variants = ["fats"]\n', "slip")
    said = "There is no variant in suite 'base': 'fats'. Did you mean 'fast'?"
    with pytest.raises(ValueError, match=re.escape(said)):
        load_suite("slip")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seeds = 4", "seed = 4"), "There is no key in t.toml, protocol: 'seed'. Did you mean"),
        (('title = "T"', 'titel = "T"'), "There is no key in t.toml: 'titel'. Did you mean"),
        (("sampler = ", "smapler = "), "There is no key in t.toml, rows: 'smapler'. Did you mean"),
        (('part = "one" }', 'part = "two" }'), "There is no part 'two'. There are: one."),
        (('guide = "erm"', 'guide = "drs"'), "There is no guide 'drs'. There are: erm."),
        (('name = "C"', 'note = "C"'), "Each row of t.toml must have a name. Got "),
    ],
)
def test_slips_are_named(tmp_path, change, said):
    path = write(tmp_path, TEXT.replace(*change))
    with pytest.raises(ValueError, match=re.escape(said)):
        load_suite(path)


def test_a_suite_needs_rows(tmp_path):
    path = write(tmp_path, 'title = "T"\n')
    with pytest.raises(ValueError, match=r"^t\.toml must have rows\. Got none\. Add a table"):
        load_suite(path)


def test_unknown_names_list_what_exists(suite):
    said = "There is no suite 'smoek'. Did you mean 'smoke'? There are: "
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        load_suite("smoek")
    assert all(name in str(caught.value) for name in suite_names())
    said = "There is no row in suite 't': 'D'. There are: A, B, C."
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        suite.chosen(rows=["A", "D"])
    said = "There is no variant in suite 't': 'fats'. Did you mean 'fast'? There are: fast, plain."
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        suite.chosen(variants=["fats"])
    said = "There is no component 'LDAM'. Did you mean 'LDAMLoss'? There are: "
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        find("LDAM")


def test_values_become_objects():
    asked = []

    def guide(name, path):
        asked.append((name, path))
        return f"fitted {name}"

    spec = {
        "make": "imblearn.over_sampling:SMOTE",
        "k_neighbors": {"make": "sklearn.neighbors:NearestNeighbors", "n_neighbors": 4},
        "sampling_strategy": [{"guide": "erm"}, {"use": "collections:Counter"}, 3],
    }
    made = build(spec, guide=guide, seed=lambda path: len(path))
    assert type(made).__name__ == "SMOTE"
    assert made.k_neighbors.n_neighbors == 4
    assert made.sampling_strategy[0] == "fitted erm"
    assert made.sampling_strategy[1].__name__ == "Counter"
    assert made.random_state == 0
    tables = build({"lr_decay": {"160": 0.01, "0.8": 2}, "x": {"a1": 1}}, guide=guide, seed=len)
    assert tables == {"lr_decay": {160: 0.01, 0.8: 2}, "x": {"a1": 1}}
    assert asked == [("erm", ".sampling_strategy[0]")]


def test_rows_are_made_of_the_training_part_or_read_from_the_folder(monkeypatch):
    monkeypatch.setitem(COMPONENTS, "said", "standin_method:said")
    given = {"guide": None, "seed": lambda path: 7, "train": "rows", "folder": "place"}
    assert build({"from_train": "said", "size": 2}, **given) == (
        "rows",
        {"size": 2, "random_state": 7},
    )
    assert build({"from_folder": "said", "size": 2}, **given) == ("place", {"size": 2})


def components(value):
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        if "make" in value or "use" in value:
            yield value
        for part in value.values():
            yield from components(part)


@pytest.mark.parametrize("name", suite_names())
def test_suites_name_what_exists(name):
    suite = load_suite(name)
    assert len({(run.variant, run.row) for run in suite.runs}) == len(suite.runs)
    assert set(suite.references) <= set(suite.rows)
    for table in suite.paper.get("tables", []):
        assert set(table.get("variants", [])) <= set(suite.variants)
        columns = [table[measure] for measure in ("bACC", "GM", "error") if measure in table]
        paper = table.get("name", suite.paper.get("name"))
        cells = [paper_column(paper, table["table"], name) for name in columns]
        assert set(cells[0]) & {run.paper_row for run in suite.runs}
        assert set(cells[0]) == set(cells[-1])
    known = {cell.paper for cell in paper_cells()}
    assert {run.paper.split(",")[0] for run in suite.runs} - {""} <= known
    for run in suite.runs:
        for table in components(run.spec):
            component = find(table.get("make", table.get("use")))
            parameters = set()
            for step in getattr(component, "__mro__", [component]):
                parameters |= set(inspect.signature(step.__init__).parameters)
            given = [k for k in table if k not in ("make", "use") and "__" not in k]
            assert set(given) <= parameters, (run.row, component)
