"""The evidence: long-tailed, open-set methods side by side on equal budgets.

python -m benchmarks.evidence OUT frozen|ablation|omniglot|cifar [--seeds N]

    configurations.py   which methods and variants, by name
    data.py             LFW's vectors and Omniglot's characters dealt to splits
    runs.py             every run of a list: trained, or gone on with, with the stages that it shares
    measure.py          a classifier's outputs → figures for people with few and many photos
    gallery.py          the same figures from the bare vectors: people enrolled, nothing trained
    summary.py          figures of several seeds → mean, spread, paired differences, intervals; the committed JSON
    page.py  plots.py   the committed JSON → docs/results.md and its pictures
    faces.py            its section on faces from scratch, from what other benchmarks measured
    story.py            the README's table and picture
    tables.py           what the tables share
"""
