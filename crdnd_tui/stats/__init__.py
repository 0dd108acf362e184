"""The statistics of robust accuracies: intervals, paired and exact tests, corrections. Pure, without scipy."""
