"""Long-tailed data: a tail cut out of any labelled data, and data sets with a natural one."""

from ltresample.datasets._celeba import load_celeba5
from ltresample.datasets._cifar import fetch_cifar10_lt, fetch_cifar100_lt
from ltresample.datasets._fashion_mnist import fetch_fashion_mnist_lt
from ltresample.datasets._image_files import ImageFiles
from ltresample.datasets._image_lists import (
    load_image_lists,
    load_imagenet_lt,
    load_inaturalist2018,
    load_places_lt,
)
from ltresample.datasets._long_tail import make_long_tailed
from ltresample.datasets._near_duplicates import (
    KnownRows,
    NearDuplicates,
    count_shared_rows,
    find_near_duplicates,
)
from ltresample.datasets._open_set import (
    make_blob_noise,
    make_gaussian_noise,
    make_rademacher_noise,
    permute_features,
    shuffle_patches,
    shuffle_words,
)
from ltresample.datasets._random_images import load_random_images
from ltresample.datasets._reuters import fetch_reuters36, fetch_reuters52
from ltresample.datasets._sun397 import load_sun397
from ltresample.datasets._tables import load_table, load_tables
from ltresample.datasets._twitter_pos import load_twitter_pos

__all__ = [
    "ImageFiles",
    "KnownRows",
    "NearDuplicates",
    "count_shared_rows",
    "fetch_cifar10_lt",
    "fetch_cifar100_lt",
    "fetch_fashion_mnist_lt",
    "fetch_reuters36",
    "fetch_reuters52",
    "find_near_duplicates",
    "load_celeba5",
    "load_image_lists",
    "load_imagenet_lt",
    "load_inaturalist2018",
    "load_places_lt",
    "load_random_images",
    "load_sun397",
    "load_table",
    "load_tables",
    "load_twitter_pos",
    "make_blob_noise",
    "make_gaussian_noise",
    "make_long_tailed",
    "make_rademacher_noise",
    "permute_features",
    "shuffle_patches",
    "shuffle_words",
]
