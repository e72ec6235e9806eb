"""Reads, writes, checks and cuts MXNet RecordIO face sets, with numpy alone; only decoding wants OpenCV.

Reader and Writer handle any record file; Header, pack and unpack the image records in it; FaceSet the
convention of InsightFace's training sets, in which MS1M is distributed.
"""

from recordio_tools.faces import FaceSet
from recordio_tools.header import Header, pack, unpack
from recordio_tools.reader import Reader
from recordio_tools.writer import Writer

__all__ = ["FaceSet", "Header", "Reader", "Writer", "pack", "unpack"]
