"""Suite files: which rows, under which protocol, in which variants."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.components import NUMBER, check_names, unknown

__all__ = ["Run", "Suite", "Task", "load_suite", "merged", "suite_names"]

FOLDER = Path(__file__).parent / "suites"
TOP_LEVEL = {"title", "notes", "extends", "include", "references", "protocol", "variants", "rows"}
TOP_LEVEL |= {"paper", "order"}
PROTOCOL = {"data", "validation", "seeds", "threads", "classifier", "sampler", "wrap"}
PROTOCOL |= {"parts", "guides"}
ROW = {"name", "note", "paper", "paper_row", "only", "variants", "trunk"}


class Task(NamedTuple):
    """What a worker process is given: one run with one seed."""

    suite: str
    variant: str
    row: str
    spec: dict[str, Any]
    seed: int
    folder: Path | None
    device: str = "cpu"  # where to train; what comes out is the same run
    cuda_graphs: bool = False  # likewise


@dataclass(frozen=True)
class Run:
    """One cell of a table: a row in a variant, with everything resolved, for one or more seeds."""

    variant: str
    row: str
    spec: dict[str, Any]
    paper_row: str
    note: str = ""
    paper: str = ""
    trunk: str = ""  # a row with which it says to share its first epochs


@dataclass(frozen=True)
class Suite:
    """What a suite file says.

    Attributes
    ----------
    name, title, notes : str
        Name of the file, heading and text of the tables.
    n_seeds : int
        Seeds 0 .. n_seeds - 1.
    runs : list of Run
        All rows of all variants.
    references : list of str
        Rows that the others are compared with.
    paper : dict
        Which of the papers' columns stand beside ours; empty for none. ``tables`` lists tables with
        the column for each metric (``error``: 100 - bACC), each with the ``name`` of its paper, if
        not all are of one, and the ``variants`` it is for, if not all.
    order : list of str
        Rows in the order of their value, for runs within a budget; rows that are not named come last.
    """

    name: str
    title: str
    notes: str
    n_seeds: int
    runs: list[Run]
    references: list[str] = field(default_factory=list)
    paper: dict[str, Any] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    @property
    def variants(self) -> list[str]:
        """Names of the variants, in order."""
        return list(dict.fromkeys(run.variant for run in self.runs))

    @property
    def rows(self) -> list[str]:
        """Names of the rows, in order."""
        return list(dict.fromkeys(run.row for run in self.runs))

    def chosen(self, *, rows: list[str] = (), variants: list[str] = ()) -> list[Run]:
        """Return the runs of some rows and variants; an empty list stands for all.

        Raises
        ------
        ValueError
            If there is no such row or variant.
        """
        for kind, names, known in (("row", rows, self.rows), ("variant", variants, self.variants)):
            for name in names:
                if name not in known:
                    raise unknown(f"{kind} in suite {self.name!r}:", name, known)
        return [
            run
            for run in self.runs
            if run.row in (rows or self.rows) and run.variant in (variants or self.variants)
        ]


def suite_names() -> list[str]:
    """Return the names of the suites in this package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_suite(name: str) -> Suite:
    """Read a suite.

    Parameters
    ----------
    name : str
        Name of a suite of this package, or path of a file that ends in ``.toml``.

    Raises
    ------
    ValueError
        If there is no such suite, or the file has unknown or missing keys.
    """
    content = _read(name)
    protocol = {"validation": 0.1, "seeds": 1, "threads": 1, **content.get("protocol", {})}
    return Suite(
        name=Path(name).stem,
        title=content.get("title", Path(name).stem),
        notes=content.get("notes", ""),
        n_seeds=protocol.pop("seeds"),
        runs=list(_runs(content, protocol)),
        references=content.get("references", []),
        paper=content.get("paper", {}),
        order=content.get("order", []),
    )


def _read(name: str) -> dict[str, Any]:
    """Read a file and what it extends: protocol, variants, and of the rows the included ones."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.exists():
        raise unknown("suite", name, [*suite_names(), "path/to/file.toml"])
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    _check(content, path)
    if "extends" not in content:
        return content
    base = _read(content["extends"])
    known = [row["name"] for row in base["rows"]]
    include = known if content.get("include") == "all" else content.get("include", [])
    for wanted in include:
        if wanted not in known:
            raise unknown(f"row in suite {content['extends']!r}:", wanted, known)
    inherited = [row for row in base["rows"] if row["name"] in include]
    return {
        **content,
        "protocol": merged(base.get("protocol", {}), content.get("protocol", {})),
        "variants": _variants(base, content),
        "rows": [*inherited, *content.get("rows", [])],
    }


def _variants(base: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """Return a file's own variants, or of those that it extends the ones that it lists."""
    known = base.get("variants", {"default": {}})
    chosen = content.get("variants", list(known))
    if isinstance(chosen, dict):
        return chosen
    for name in chosen:
        if name not in known:
            raise unknown(f"variant in suite {content['extends']!r}:", name, known)
    return {name: known[name] for name in chosen}


def _check(content: dict[str, Any], path: Path) -> None:
    named = [("", content, TOP_LEVEL), ("protocol", content.get("protocol", {}), PROTOCOL)]
    variants = content.get("variants", {})
    if isinstance(variants, dict):
        named += [(f"variants.{n}", v, PROTOCOL) for n, v in variants.items()]
    named += [("rows", row, ROW | PROTOCOL) for row in content.get("rows", [])]
    for place, table, known in named:
        for key in table:
            if key not in known:
                raise unknown(f"key in {path.name}{place and f', {place}'}:", key, known)
    if not content.get("rows") and not content.get("include"):
        raise ValueError(f"{path.name} must have rows. Got none. Add a table [[rows]] for each.")
    for row in content.get("rows", []):
        if "name" not in row:
            raise ValueError(f"Each row of {path.name} must have a name. Got {row!r}.")
    if "extends" not in content:
        names = [row["name"] for row in content["rows"]]
        trunks = [row["trunk"] for row in content["rows"] if "trunk" in row]
        for wanted in [*content.get("order", []), *trunks]:
            if wanted not in names:
                raise unknown(f"row in {path.name}:", wanted, names)


def _runs(content: dict[str, Any], protocol: dict[str, Any]) -> Iterator[Run]:
    for variant, overrides in content.get("variants", {"default": {}}).items():
        common = merged(protocol, overrides)
        for row in content["rows"]:
            if variant not in row.get("only", [variant]):
                continue
            own = {key: value for key, value in row.items() if key not in ROW}
            own = merged(own, row.get("variants", {}).get(variant, {}))
            spec = _resolved(common, merged(common, own))
            check_names(spec)
            yield Run(
                variant=variant,
                row=row["name"],
                spec=spec,
                paper_row=row.get("paper_row", row["name"]),
                note=row.get("note", ""),
                paper=row.get("paper", ""),
                trunk=row.get("trunk", ""),
            )


def _resolved(common: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Put parts in their places, and keep the guides that are used."""
    settings = dict(settings)
    parts, guides = settings.pop("parts", {}), settings.pop("guides", {})
    spec = _expanded(settings, parts)
    used = {name: guides[name] for name in _guide_names(spec, guides)}
    base = _expanded({"classifier": common.get("classifier", {})}, parts)
    filled = {name: merged(base, _expanded(guide, parts)) for name, guide in used.items()}
    return {**spec, **({"guides": filled} if filled else {})}


def _expanded(value: Any, parts: dict[str, Any]) -> Any:
    """Replace ``{ part = "name", ... }`` by that part with the other keys over it."""
    if isinstance(value, list):
        return [_expanded(item, parts) for item in value]
    if not isinstance(value, dict):
        return value
    if "part" in value:
        own = {key: item for key, item in value.items() if key != "part"}
        if value["part"] not in parts:
            raise unknown("part", value["part"], parts)
        value = merged(parts[value["part"]], own)
    return {key: _expanded(item, parts) for key, item in value.items()}


def _guide_names(value: Any, guides: dict[str, Any]) -> list[str]:
    if isinstance(value, list):
        return sorted({name for item in value for name in _guide_names(item, guides)})
    if not isinstance(value, dict):
        return []
    if "guide" in value:
        if value["guide"] not in guides:
            raise unknown("guide", value["guide"], guides)
        return [value["guide"]]
    return _guide_names(list(value.values()), guides)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay one table over another: tables key by key, all else replaces.

    A table that names another class (``make``, ``use``, ``part``) replaces the whole table, as
    the parameters below it belong to that other class; so does one whose keys are numbers, such as
    the epochs of a schedule.

    Examples
    --------
    >>> merged({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}, 'b': 1}
    >>> merged({"a": {"make": "SMOTE", "k_neighbors": 2}}, {"a": {"make": "ADASYN"}})
    {'a': {'make': 'ADASYN'}}
    >>> merged({"lr_decay": {"160": 0.1}}, {"lr_decay": {"100": 0.1, "0.8": 0.01}})
    {'lr_decay': {'100': 0.1, '0.8': 0.01}}
    """
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        joins = isinstance(old, dict) and isinstance(value, dict) and not _is_another(old, value)
        result[key] = merged(old, value) if joins else value
    return result


def _is_another(old: dict[str, Any], new: dict[str, Any]) -> bool:
    if new and all(NUMBER.fullmatch(key) for key in new):
        return True
    words = ("make", "use", "part", "guide", "from_train", "from_folder", "name")
    return any(word in new and new[word] != old.get(word) for word in words)
