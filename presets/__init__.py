"""Data that travels with lorasmith and that a person may edit; read through importlib.resources."""
