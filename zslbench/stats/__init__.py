"""Statistics: metrics of one cell, intervals over classes, paired comparisons. Arrays in, numbers out."""
