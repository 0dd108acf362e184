"""Documents made of runs, comparisons and studies; their files; and runs replayed into other trackers."""
