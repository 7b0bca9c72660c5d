"""`lorasmith bench`: what this machine and this engine do, as ratios and counts that can be compared."""
