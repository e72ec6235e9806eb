"""Models × score rules × protocols, measured: what a benchmark found, and how.

results       typed records of what was found, as JSON
named         how a person names protocols and models
run           all of them, asking the caches first
store         vectors of images in a folder that grows, and that a kill leaves whole
features      images → store
feature_file  vectors that somebody has published
sources       the images of a protocol, by key
templates     images' vectors → one a template
arena         a gallery, and all that is searched in it
searches      by cosine in one sweep, by other rules over all identities or the best candidates
measuring     one model in one protocol, by every rule
figures       searches → figures with bounds
pairs         pair sets
examples      the worst errors
cells         finished parts, kept one by one
code          which source files decide a figure, for the cells
out           the folder of a result
"""
