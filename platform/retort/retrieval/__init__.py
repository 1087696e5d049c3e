"""Where version 0.1 had its retrieval code; what is left are the names that models in MLflow know it by."""
