"""SDXL base models: find them, recognise them, download, load, tokenise, encode.

Light (no torch): `find`, `recognise`, `header`, `folder`, `layout`, `configs`. The others need torch.
"""
