"""How well embedders recognise people they were never trained on, and reject strangers: one training split.

    open_people   whom the split left out, from the manifest of the cut
    searches      the searches of one draw and all figures of them       (numpy only)
    rules         score rules on the same searches, counted by person      (numpy only)
    equal_fpir    what a rule gains where it lets in no more strangers     (numpy only)
    examples      decisions to look at
    evaluation    embedders × draws → one dictionary, ready for JSON, which ``facerec_oltr.report`` reads

Every embedder meets the same draws, see ``facerec_oltr.protocols.draw``.
"""

from facerec_oltr.evaluate.evaluation import FORMAT, TARGETS, TEMPLATES, VERSION, evaluate, write_evaluation
from facerec_oltr.evaluate.open_people import OpenPeople

__all__ = ["FORMAT", "TARGETS", "TEMPLATES", "VERSION", "OpenPeople", "evaluate", "write_evaluation"]
