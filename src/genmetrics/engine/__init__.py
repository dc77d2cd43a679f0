"""The one pass: source, preprocess, extractor, accumulators, metrics, report.

The folder is not called ``evaluate`` because that is the name of the public function, and a package's
submodule would take its place.
"""
