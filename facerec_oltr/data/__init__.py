"""Data sets: positions → uint8 batches and labels; what a file says is checked when it is opened.

A data set is a config whose ``build(split)`` opens one split of it; ``DataSet`` says what a split offers.
"""

from typing import Annotated

from pydantic import Field

from facerec_oltr.data._base import STRANGER, DataSet, Split, taken
from facerec_oltr.data.augment import AugmentConfig, augment
from facerec_oltr.data.crop import RandomCrop
from facerec_oltr.data.features import Features, FeaturesConfig
from facerec_oltr.data.image_blob import ImageBlob, ImageBlobConfig
from facerec_oltr.data.image_folder import Deal, ImageFolderConfig
from facerec_oltr.data.image_list import Expected, ImageList, ImageListConfig
from facerec_oltr.data.recordio_faces import RecordIOFaces, RecordIOFacesConfig

DataConfig = Annotated[
    FeaturesConfig | ImageBlobConfig | ImageFolderConfig | ImageListConfig | RecordIOFacesConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "STRANGER",
    "AugmentConfig",
    "DataConfig",
    "DataSet",
    "Deal",
    "Expected",
    "Features",
    "FeaturesConfig",
    "ImageBlob",
    "ImageBlobConfig",
    "ImageFolderConfig",
    "ImageList",
    "ImageListConfig",
    "RandomCrop",
    "RecordIOFaces",
    "RecordIOFacesConfig",
    "Split",
    "augment",
    "taken",
]
