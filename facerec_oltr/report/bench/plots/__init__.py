"""The pictures of a benchmark's report, each a matplotlib figure that can be read without a legend.

det         who is missed against who gets in
cmc         how far down the list the right person stands
histogram   scores of enrolled people and of strangers, and the threshold between them
groups      by shot group, by gallery size
gains       rules against the cosine
_lines      what they share: lines with their band and their name at the end
"""
