"""What the numbers mean, in numpy and scipy alone: scores and labels in, figures out.

- ``identification``: one probe against a gallery (1:N): CMC, FPIR, FNIR, TPIR, DET, thresholds.
- ``calibration``: a threshold for a wanted FPIR, what it will be on other people, and how high it may be.
- ``impostors``: the searches that choose it where no stranger is at hand: each template among all other people.
- ``sweep``: identification of many probes in large galleries, in blocks, exact, several sizes at once.
- ``verification``: one photo against another (1:1): TAR at FAR, EER, accuracy by folds.
- ``ranking``: how well one score separates two groups: AUROC.
- ``shots``: closed-set accuracy by how many training images a class has.
- ``open_set``: classify the known, reject strangers: F-measures, AUPR, FPR at 95 % TPR, OSCR.
- ``intervals``: how sure a figure is: spread over splits, bootstrap over identities, rule of three.
- ``replicates``: all figures of a set of searches on a thousand resamples of it, by weights.
- ``resampled``: the figures of ``shots`` and ``open_set`` on many resamples of the test set.

The conventions that hold throughout:

- A higher score is a better match; a search is accepted if and only if its score >= T.
- A score of -inf means that nothing was compared (empty gallery, no face found); no threshold accepts it.
- A figure over an empty side is NaN, never 0; a NaN score raises ``MetricError``.
"""
