"""Is it good, is it varied, is it a copy: measures with intervals, and what to compare them with."""
