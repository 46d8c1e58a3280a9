"""From files to datasets to batches: sources, bounded decoding, ingest, the memory-mapped dataset, the loader."""
