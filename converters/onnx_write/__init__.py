"""Programs and networks as ONNX models."""
