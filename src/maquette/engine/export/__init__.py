"""Models as files for other programs: an ONNX graph, and a page that makes images in a browser."""
