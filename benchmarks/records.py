"""An append-only file of records, one JSON object a line, that survives being killed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows, where two runners on one file go unnoticed
    fcntl = None

__all__ = ["RecordFile", "read_records", "run_key", "with_names_of_now"]


def run_key(spec: dict[str, Any], seed: int, data_hash: str) -> str:
    """Name a run by what determines its result: the resolved spec, the seed and the data.

    Parameters
    ----------
    spec : dict
        The resolved spec, plain JSON values.
    seed : int
        Seed of the run.
    data_hash : str
        Hash of the data.

    Returns
    -------
    str
        20 hexadecimal digits.

    Examples
    --------
    >>> run_key({"a": 1, "b": 2}, 0, "f") == run_key({"b": 2, "a": 1}, 0, "f")
    True
    """
    text = json.dumps([spec, seed, data_hash], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


RENAMED = {  # parameters that records of earlier commits know by another name
    "OpenSampler": {"labels": "label_distribution", "soft": "expected_labels"},
}


def with_names_of_now(spec: Any) -> Any:
    """Return a spec as a suite file of this commit has it.

    Parameters
    ----------
    spec : object
        A table, a list or a plain value.

    Returns
    -------
    object
        The same with the names that parameters have now.

    Examples
    --------
    >>> with_names_of_now({"make": "OpenSampler", "soft": True, "eta": 2})
    {'make': 'OpenSampler', 'expected_labels': True, 'eta': 2}
    """
    if isinstance(spec, list):
        return [with_names_of_now(part) for part in spec]
    if not isinstance(spec, dict):
        return spec
    names = RENAMED.get(str(spec.get("make")), {})
    return {names.get(name, name): with_names_of_now(part) for name, part in spec.items()}


def read_records(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Read a file of records.

    A line without an end is what a process that was killed while writing leaves behind.

    Parameters
    ----------
    path : Path
        The file; it may be missing.

    Returns
    -------
    records : list of dict
        All whole records, in the order of the file; parameters that have another name now have it
        here, too.
    n_whole : int
        Bytes up to the end of the last whole record.

    Raises
    ------
    ValueError
        If a line other than an unfinished last one is no record.
    """
    if not path.exists():
        return [], 0
    text = path.read_bytes()
    n_whole = text.rfind(b"\n") + 1
    lines = text[:n_whole].splitlines()
    return [_parse(line, path, number) for number, line in enumerate(lines, 1)], n_whole


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "key" not in record:
        shown = line[:60].decode(errors="replace")
        raise ValueError(
            f"Line {number} of {path} must be a record, a JSON object with a key. Got {shown!r}. "
            "Remove that line: its run will be done again."
        )
    return _renamed(record)


def _renamed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of an earlier commit with the spec, and so the key, that it has now."""
    spec = with_names_of_now(record.get("spec"))
    if spec == record.get("spec"):
        return record
    return {**record, "spec": spec, "key": run_key(spec, record["seed"], record["data_sha256"])}


class RecordFile:
    """The records of a suite, open for appending by one process.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made if they are missing.

    Attributes
    ----------
    records : list of dict
        What the file holds.
    n_dropped : int
        Bytes of an unfinished last line that were cut off.
    """

    def __init__(self, path: Path):
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.n_dropped = 0
        self._file = -1

    @contextmanager
    def opened(self) -> Iterator[RecordFile]:
        """Lock the file, read it, cut off an unfinished last line.

        Raises
        ------
        RuntimeError
            If another process has it open.
        ValueError
            If it holds something else than records.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            self._lock()
            self.records, n_whole = read_records(self.path)
            self.n_dropped = os.fstat(self._file).st_size - n_whole
            if self.n_dropped:
                os.ftruncate(self._file, n_whole)
                os.fsync(self._file)
            yield self
        finally:
            os.close(self._file)  # gives the lock back, as the end of the process would

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise RuntimeError(
                f"{self.path} is being written by another process. Wait for its end, or pass "
                "another folder with --records."
            ) from err

    @property
    def keys(self) -> set[str]:
        """Keys of the records."""
        return {record["key"] for record in self.records}

    def append(self, record: dict[str, Any]) -> None:
        """Write one record and wait until it is on the disk.

        Parameters
        ----------
        record : dict
            With a ``key``; plain JSON values without NaN.

        Raises
        ------
        OSError
            If it cannot be written; the file is then as before.
        """
        line = json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        before = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError:  # a full disk: leave no half line that the next record would be joined to
            os.ftruncate(self._file, before)
            raise
        self.records.append(record)
