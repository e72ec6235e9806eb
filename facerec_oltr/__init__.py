"""Face recognition in an open world: long-tailed training, enrolment, identification, rejection of strangers."""
