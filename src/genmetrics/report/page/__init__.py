"""One page of HTML with everything that a result holds.

``page`` puts it together; each other file makes one of its parts from a result: words, plots, galleries, provenance.
Only ``svg`` and ``plots`` import matplotlib, only ``page`` jinja2, which draws in the rest. Nothing here imports torch.
"""
