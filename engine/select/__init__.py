"""Choosing one LoRA of a run: fidelity against flexibility, how sure that is, and why. numpy only, no drawing."""
