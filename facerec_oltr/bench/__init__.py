"""Models × score rules × protocols, measured: what a benchmark found, and how.

results     typed records of what was found, as JSON
"""
