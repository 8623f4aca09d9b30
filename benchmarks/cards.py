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
def paper_protocols() -> dict[str, dict[str, Any]]:
    """Return what papers trained with, by paper."""
    return tomllib.loads(PAPERS.read_text(encoding="utf-8"))


def card(records: list[dict[str, Any]], papers: list[str]) -> str:
    """Return the card of a variant as Markdown; nothing if no row has a network.

    Parameters
    ----------
    records : list of dict
        Of all its rows and seeds.
    papers : list of str
        Papers whose cells stand beside the rows.
    """
    records = [record for record in records if "module" in record["spec"]["classifier"]]
    if not records:
        return ""
    lines = [f"- {name}: {'; '.join(values)}" for name, values in _facts(records).items() if values]
    lines += [_difference(name, records) for name in papers if name in paper_protocols()]
    return "\n".join(lines)


def _facts(records: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return {what: the different values that the records have}."""
    specs = [record["spec"] for record in records]
    first = records[0]
    counts = first["class_counts"]
    held = f"{first['n_train']} images of it train, {first['n_validation']} are held out"
    return {
        "subset": _different(f"SHA-256 {record['data_sha256']}" for record in records),
        "data": _different(_table(spec["data"]) for spec in specs),
        "images of a class": [f"{max(counts)} to {min(counts)} in training; {held}"],
        "test": [f"{sum(first['n_test'])} images"],
        "network": _different(map(_network, records)),
        "augmentation": _different(_table(s["classifier"].get("augment", "none")) for s in specs),
        "epochs": _different(str(_epochs(spec)) for spec in specs),
        "training": _different(_training(spec["classifier"]) for spec in specs),
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
        f"{told}: {size['parameters']:,} parameters, {operations:.1f} million operations an image"
    )


def _training(classifier: dict[str, Any]) -> str:
    return ", ".join(f"{k} {_table(classifier[k])}" for k in SETTINGS if k in classifier)


def _difference(paper: str, records: list[dict[str, Any]]) -> str:
    """Return a line with what a paper did otherwise."""
    its, specs = paper_protocols()[paper], [record["spec"] for record in records]
    ours = {
        "network": " / ".join(_different(map(_module, specs))),
        "epochs": " / ".join(_different(str(_epochs(spec)) for spec in specs)),
        "batch_size": " / ".join(
            _different(str(spec["classifier"].get("batch_size", 128)) for spec in specs)
        ),
        "image_size": str(specs[0]["data"].get("size", its["image_size"])),
        "reported": "last epoch",
    }
    told = [
        f"{name.replace('_', ' ')} {its[name]} (here {own})"
        for name, own in ours.items()
        if str(its[name]).replace("-", "") != own
    ]
    return f"- beside {paper}: {'; '.join(told)}; its subset: {its['subset']}"
