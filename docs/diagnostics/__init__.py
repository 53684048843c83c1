"""One page per diagnostic code, as `cogc explain` prints them. Data only."""
