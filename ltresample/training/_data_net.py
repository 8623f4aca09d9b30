"""The part of the net that knows the data: shapes, the network built for them, splits, loaders."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import numpy as np
import torch
from sklearn.utils._param_validation import validate_parameter_constraints
from skorch.dataset import Dataset
from skorch.utils import data_from_dataset, is_skorch_dataset
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ltresample._compat import refuse_truth_values
from ltresample._random import Seed, global_streams
from ltresample.exceptions import refuse_class
from ltresample.rows import (
    ArrayRows,
    Columns,
    PixelUnit,
    TakenRows,
    check_fits,
    looked_at,
    pixel_unit,
    row_shape_of,
    units_of,
    warn_of_pixel_range,
)
from ltresample.training._criterion import needs_of
from ltresample.training._data import BatchRows, FetchedBatches, RowDataset, as_it_is
from ltresample.training._device import place_of_rows
from ltresample.training._holdout import split_rows
from ltresample.training._index_samplers import IndexBatches
from ltresample.training._network import default_module, shape_arguments
from ltresample.training._opening import (
    Opened,
    encoded,
    labels_of,
    labels_of_dataset,
    open_rows,
    open_training,
)
from ltresample.training._parameters import ParameterNet
from ltresample.training._run import Run
from ltresample.training._step import check_precision
from ltresample.training._surface import check_surface, loader_settings

__all__ = ["DataNet"]


class DataNet(ParameterNet):
    """A net that opens data, builds a network for them, splits them, and loads them in batches."""

    _run: Run | None = None
    _batch_rows: Any = None  # rows of the batch of which callbacks are told
    _row_shape: tuple[int, ...] | None = None
    _columns: Columns | None = None  # of a table: names and categories
    _pixel_unit: PixelUnit | None = None  # of images
    _double: bool = False
    _output_kind: str | None = None  # what the network gives, known from the first training on
    _seen: tuple[set[str], np.ndarray] | None = None  # training splits so far, and their counts

    # ------------------------------------------------------------------ parameters and shapes

    def _check_parameters(self) -> None:
        self.check_training_readiness()
        refuse_class(self.resampler, "resampler")
        given = {k: v for k, v in vars(self).items() if k in self._parameter_constraints}
        refuse_truth_values(type(self).__name__, self._parameter_constraints, given)
        validate_parameter_constraints(self._parameter_constraints, given, type(self).__name__)
        if self.class_weight is not None and self.rebalance == "reweight":
            raise ValueError(
                "class_weight and rebalance='reweight' both set the class weights of the loss. Got "
                f"class_weight={self.class_weight!r}. Leave one of them out."
            )
        if self.classes is not None and len(np.unique(self.classes)) < max(2, len(self.classes)):
            raise ValueError(
                "classes must name at least two classes, each once. Got "
                f"classes={list(self.classes)[:20]!r}. Leave it out to take those in y."
            )
        check_surface(self)
        check_precision(self)

    @property
    def classes_(self) -> np.ndarray:
        """Labels, sorted: those of `classes`, else those that were in y."""
        # columns of the output are in the order of the labels, whatever the order in `classes`
        return super().classes_ if self.classes is None else np.unique(self.classes)

    def _learn_shape(self, x: Any, labels: np.ndarray, columns: Columns | None = None) -> None:
        """Note the classes and the shape of a row: what the network is built from."""
        classes = np.unique(labels)
        if len(classes) < 2 and self.classes is None:
            raise ValueError(
                f"y must hold at least two classes. Got one class, {classes.tolist()}, in "
                f"{len(labels)} rows. There is nothing to learn from one class."
            )
        self.classes_inferred_ = classes
        self._row_shape = row_shape_of(x)
        self._columns, self._pixel_unit = columns, pixel_unit(x)
        self._double = needs_double(x)
        self._seen = None

    def _check_same(self, x: Any, labels: np.ndarray) -> None:
        """Refuse rows and labels that the network, as it was built, cannot go on with."""
        shape = row_shape_of(x)
        if self._row_shape is not None and shape != self._row_shape:
            raise ValueError(
                f"Rows must have the shape that the network was built for, {self._row_shape}. Got rows "
                f"of shape {shape}. Call fit with warm_start=False to start anew."
            )
        unknown = np.setdiff1d(labels, self.classes_)
        if self.warm_start and len(unknown):
            raise ValueError(
                "warm_start goes on with a network for the classes "
                f"{self.classes_.tolist()[:20]}. Got {unknown.tolist()[:5]} in y as well. Pass "
                "warm_start=False to start anew, or name all classes in classes= before the first fit."
            )

    def _count(self, train: RowDataset, counts: np.ndarray) -> np.ndarray:
        """Return rows of each class in all different training splits since the network was built."""
        digest = hashlib.sha256(train.target.numpy().tobytes())
        few = np.linspace(0, len(train) - 1, min(8, len(train))).astype(np.int64)
        digest.update(train.rows.gather(few).float().cpu().numpy().tobytes())
        seen, total = self._seen or (set(), np.zeros_like(counts))
        if digest.hexdigest() not in seen:  # the same rows again are no more rows
            self._seen = ({*seen, digest.hexdigest()}, total + counts)
        return self._seen[1]

    # why: a network is told, or built from, the shape of the data; instances are copied
    def initialize_module(self) -> DataNet:
        """Build the network from the shape of the data, or copy the one that was given."""
        settings = self.get_params_for("module")
        with global_streams(self.seed_.child("module"), self.device):
            module = self._built(settings)
        if self._row_shape is not None and len(self._row_shape) == 3:
            module = module.to(memory_format=torch.channels_last)  # convolutions are faster so
        self.module_ = module if self.dtype is None else module.to(self.dtype)
        self._output_kind = None
        return self

    def _built(self, settings: dict[str, Any]) -> nn.Module:
        if isinstance(self.module, nn.Module) and not settings:
            return copy.deepcopy(self.module)
        try:
            n_classes = len(self.classes_)
        except AttributeError:
            n_classes = None
        if self.module is not None:
            told = shape_arguments(self.module, self._row_shape, n_classes)
            return self.initialized_instance(self.module, {**told, **settings})
        row_shape = settings.pop("row_shape", None)
        row_shape = self._row_shape if self._row_shape is not None else row_shape
        if row_shape is None or n_classes is None:
            raise ValueError(
                "module=None is built from the shape of the data, which is not known yet. Call fit, or "
                "pass a module. To initialize without data, for load_params, pass classes= and "
                "module__row_shape, for example module__row_shape=(20,) or (3, 32, 32)."
            )
        if needs_of(self.criterion).cosine_head:
            settings = {"head": "cosine", **settings}
        module = default_module(tuple(row_shape), n_classes, **settings)
        on_cpu = self.device is not None and torch.device(self.device).type == "cpu"
        return module.double() if self._double and on_cpu and len(row_shape) == 1 else module

    # ------------------------------------------------------------------ data

    def _row_dtype(self) -> torch.dtype:
        types = (p.dtype for p in self.module_.parameters() if p.is_floating_point())
        return next(types, self.dtype or torch.float32)

    def _dataset_of(self, opened: Opened) -> RowDataset:
        dtype = self._row_dtype()
        check_fits(opened.x, dtype)
        held = place_of_rows(self, opened.x, dtype)
        rows = TakenRows(opened.x, dtype=dtype, held=held, unit=self._pixel_unit)
        labels, weight, index = opened[1:4]
        if index is not None:
            rows = rows.subset(index)
        return RowDataset(rows, labels, encoded(labels, self.classes_), weight, index)

    def _rows_of(self, X: Any, y: Any) -> RowDataset:
        """Return rows with labels as a data set of this net's; its own as they are."""
        if isinstance(X, RowDataset):
            return X
        return self._dataset_of(open_training(self, X, y, None, reset=False))

    # why: rows of any container, as the network takes them, and a batch of a run as it is
    def get_dataset(self, X, y=None):
        """Return rows to predict as a data set; data sets as they are."""
        if isinstance(X, RowDataset):
            return X
        if self._is_batch(X):
            return Dataset(X.x if isinstance(X, BatchRows) else X)
        x, dtype = open_rows(self, X), self._row_dtype()
        check_fits(x, dtype)
        if self._pixel_unit is None:  # weights were loaded: what they were trained on is not known
            warn_of_pixel_range(looked_at(x) if isinstance(x, TorchDataset) else x, "X")
        return RowDataset(TakenRows(x, dtype=dtype, unit=self._pixel_unit))

    def _is_batch(self, X: Any) -> bool:
        """Return whether rows are those of which callbacks are being told; their labels are indices."""
        return self._batch_rows is not None and X is self._batch_rows

    # why: the split is stratified, seeded, and of real rows
    def get_split_datasets(self, X, y=None, **split_params):
        """Split real rows into a training and a validation part, before anything is resampled."""
        X = self._rows_of(X, y)
        train, valid = split_rows(X, self.train_split, self.seed_.child("split"), **split_params)
        if valid is not None and not isinstance(valid, RowDataset):
            valid = self._rows_to_validate(valid)
        return train, valid

    def _rows_to_validate(self, valid: Any) -> RowDataset:
        """Open a data set that came from outside as training rows are: labels encoded, bytes scaled."""
        if is_skorch_dataset(valid):
            x, labels = data_from_dataset(valid)
        else:
            x, labels = valid, None
        x = open_rows(self, x)
        labels = labels_of_dataset(valid) if labels is None else np.asarray(labels)
        return self._dataset_of(Opened(x, labels_of(labels), None, None))

    # why: whole batches are fetched by positions that change their law between epochs
    def get_iterator(self, dataset, training=False):
        """Return a loader of batches: those of the run where it trains, else the rows in order."""
        if not isinstance(dataset, RowDataset):
            return super().get_iterator(dataset, training)
        settings = loader_settings(self, training)
        size = settings.pop("batch_size", self.batch_size)
        drop_last = settings.pop("drop_last", False)
        if training and self._run is not None:
            batches = self._run.batches
            batches.drop_last = drop_last
        else:
            size = max(len(dataset), 1) if size == -1 else size
            batches = IndexBatches(range(len(dataset)), size, drop_last=drop_last)
        loader = self.iterator_train if training else self.iterator_valid
        if loader is DataLoader:
            if not settings and not self._needs_loader():
                return FetchedBatches(dataset, batches)
            settings["generator"] = Seed(0).child("workers").torch()
        return loader(dataset, batch_sampler=batches, collate_fn=as_it_is, **settings)

    def _needs_loader(self) -> bool:
        """Return whether batches have to come from a loader of PyTorch's: Accelerate takes these."""
        return self.accelerator is not None


def needs_double(x: Any) -> bool:
    """Return whether a table is in double precision, or of whole numbers that single would blur."""
    dtype = str(getattr(x, "dtype", ""))
    if not dtype.endswith(("int32", "int64")) or len(x.shape) != 2:
        return dtype.endswith("float64")
    return units_of(ArrayRows(x, dtype=torch.float64)).type() == torch.float64
