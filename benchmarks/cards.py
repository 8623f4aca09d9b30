"""Protocol cards: what a table was trained with, from its records, and where papers differ."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["card"]

PAPERS = Path(__file__).parent / "paper_protocols.toml"
SETTINGS = ("optimizer", "lr", "warmup", "lr_decay", "optimizer__weight_decay", "batch_size")
SETTINGS += ("batch_size_after_start", "start", "rebalance_start", "weighting")


@cache
def paper_protocols() -> dict[tuple[str, str], dict[str, Any]]:
    """Return what papers trained with, by paper and name of the data set."""
    told = tomllib.loads(PAPERS.read_text(encoding="utf-8"))["protocol"]
    return {(own["paper"], name): own for own in told for name in own["data"]}


def card(records: list[dict[str, Any]], papers: list[str]) -> str:
    """Return the card of a variant as Markdown; nothing if no row has a network.

    Parameters
    ----------
    records : list of dict
        Of all its rows and seeds.
    papers : list of str
        Papers whose cells stand beside the rows. What they did otherwise is said where it is known
        for the data set of the records.
    """
    records = [record for record in records if "module" in record["spec"]["classifier"]]
    if not records:
        return ""
    lines = [f"- {name}: {'; '.join(values)}" for name, values in _facts(records).items() if values]
    data = records[0]["spec"]["data"]["name"]
    its = [paper_protocols()[name, data] for name in papers if (name, data) in paper_protocols()]
    lines += [_difference(own, records) for own in its]
    return "\n".join(lines)


def _facts(records: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return {what: the different values that the records have}."""
    specs = [record["spec"] for record in records]
    first = records[0]
    counts = first["class_counts"]
    held = f"{first['n_train']} samples train, {first['n_validation']} are held out"
    return {
        "subset": _different(f"SHA-256 {record['data_sha256']}" for record in records),
        "data": _different(_table(spec["data"]) for spec in specs),
        "samples of a class": [f"{max(counts)} to {min(counts)} in training; {held}"],
        "test": [f"{sum(first['n_test'])} samples"],
        "network": _different(map(_network, records)),
        "augmentation": _different(_table(s["classifier"].get("augment", "none")) for s in specs),
        "epochs": _different(str(_epochs(spec)) for spec in specs),
        "training": [_training([spec["classifier"] for spec in specs])],
        "reported": ["the last epoch, and the best by the held-out part; test images have no say"],
        "seeds": [", ".join(map(str, sorted({record["seed"] for record in records})))],
        "versions": _different(_table(record["versions"]) for record in records),
        "machine": _different(_table(record["machine"]) for record in records),
    }


def _different(values: Any) -> list[str]:
    return list(dict.fromkeys(values))


def _table(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {_table(part)}" for key, part in value.items())


def _epochs(spec: dict[str, Any]) -> int:
    return spec["classifier"].get("max_epochs", 40)


def _module(spec: dict[str, Any]) -> str:
    classifier = spec["classifier"]
    own = [f"{k.removeprefix('module__')} {v}" for k, v in classifier.items() if "module__" in k]
    return ", ".join([str(classifier["module"].get("use", classifier["module"])), *own])


def _network(record: dict[str, Any]) -> str:
    size = record.get("network")  # older records have none
    told = _module(record["spec"])
    if not size:
        return told
    operations = size["operations"] / 1e6
    return (
        f"{told}: {size['parameters']:,} parameters, {operations:.1f} million operations a sample"
    )


def _training(classifiers: list[dict[str, Any]]) -> str:
    """Return the settings, where rows differ with all values that they have."""
    told = {k: _different(_table(own[k]) for own in classifiers if k in own) for k in SETTINGS}
    return ", ".join(f"{name} {' / '.join(values)}" for name, values in told.items() if values)


def _late(spec: dict[str, Any]) -> int:
    """Return the epoch from which on a row does what it defers; 0: it defers nothing."""
    starts = [spec["classifier"].get(name, 0) for name in ("start", "rebalance_start")]
    return max(round(float(at) * _epochs(spec)) if "." in str(at) else int(at) for at in starts)


def _difference(its: dict[str, Any], records: list[dict[str, Any]]) -> str:
    """Return a line with what a paper did otherwise."""
    specs = [record["spec"] for record in records]
    ours = {
        "network": _different(map(_module, specs)),
        "epochs": _different(map(_epochs, specs)),
        "batch_size": _different(spec["classifier"].get("batch_size", 128) for spec in specs),
        "late_phase": _different(late for late in map(_late, specs) if late),
        "image_size": [specs[0]["data"].get("size", its.get("image_size"))],
        "reported": ["last epoch"],
    }
    told = []
    for name, values in ours.items():
        own = " / ".join(map(str, values))
        if name in its and str(its[name]).replace("-", "") != own:
            told.append(f"{name.replace('_', ' ')} {its[name]} (here {own or 'none'})")
    return f"- beside {its['paper']}: {'; '.join(told)}; its subset: {its['subset']}"
