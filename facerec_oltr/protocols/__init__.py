"""Protocols as data: who is enrolled, who is searched, who is a stranger, as lists that a person can read.

    records      what a protocol is: lists of templates, and which list plays which part
    folder       as a folder of TSV files and a manifest; read with every check
    checks       what must hold of the lists
    photos       the photos of a folder or a face set, and whether a protocol's are there
    draw         a seeded protocol of any people
    lfw_gb       LFW's open-set protocol of Günther and Boult
    lfw_pairs    LFW's pairs.txt
    ijb          IJB-B and IJB-C, 1:N and 1:1
    megaface     FaceScrub's probes among MegaFace's distractors
    ms1m_lt      the people whom a long-tailed cut left out, and those whom it kept
    shots        how many training images a probe has behind it
    pooling      images → one vector a template
    summary      what a protocol holds, as numbers

numpy only; nothing here measures.
"""

from facerec_oltr.protocols.checks import check_protocol
from facerec_oltr.protocols.folder import read_protocol, write_protocol
from facerec_oltr.protocols.photos import find_images, read_photos
from facerec_oltr.protocols.pooling import pool
from facerec_oltr.protocols.records import PARTS, PairSet, Protocol, SearchSet, Source
from facerec_oltr.protocols.templates import TemplateList

__all__ = [
    "PARTS",
    "PairSet",
    "Protocol",
    "SearchSet",
    "Source",
    "TemplateList",
    "check_protocol",
    "find_images",
    "pool",
    "read_photos",
    "read_protocol",
    "write_protocol",
]
