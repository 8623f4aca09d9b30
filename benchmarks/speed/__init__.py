"""What things cost: cases that are measured as ratios within one run, and two commits paired."""
