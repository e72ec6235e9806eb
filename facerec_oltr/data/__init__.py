"""Data sets: positions → uint8 batches and labels; what a file says is checked when it is opened.

A data set has ``labels`` (N,), ``classes``, ``size``, ``fingerprint``, ``len`` and ``batch(positions)``.
"""

from facerec_oltr.data.augment import AugmentConfig, augment
from facerec_oltr.data.recordio_faces import RecordIOFaces, RecordIOFacesConfig

DataSet = RecordIOFaces
DataConfig = RecordIOFacesConfig

__all__ = ["AugmentConfig", "DataConfig", "DataSet", "RecordIOFaces", "RecordIOFacesConfig", "augment"]
