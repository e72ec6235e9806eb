"""What is wrong with a record file or face set: the parts of `verify`, which `repair` builds on too.

findings    what a finding is, and every code there is
walk        bytes → whole records and faults, past every fault
loose_index the `.idx` text → its good lines, past every bad one
sniff       what is wrong with an image, undecoded
table       one row a record: what is kept of it
survey      one pass over the file: walk, index and table brought together
roles       which record is an image, which an identity, which the header
contents    what the records say against each other and against `property` and the listing
repeats     images with the same bytes
view        a view's own files, and what its records hold
used        the records that a view uses, read alone
open_lists  the lists of the people whom a view leaves out
groups      the label that most images of a group have
"""
