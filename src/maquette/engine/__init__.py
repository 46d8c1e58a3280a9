"""The one training loop and everything around a model at work: probe, optimizers, averages, loading, sampling."""
