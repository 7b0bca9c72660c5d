"""What every field of the plan means: the one table that the wizard, plan files and the docs speak from.

The types stand in `engine.plan`; the bounds, words and advice stand in `engine.plan_data_fields` and
`engine.plan_training_fields`, and nowhere else. `engine.plan_values` applies them.
"""

from __future__ import annotations

from engine.plan_data_fields import DATA_FIELDS
from engine.plan_field import PlanField
from engine.plan_training_fields import TRAINING_FIELDS

FIELDS: dict[str, PlanField] = {entry.key: entry for entry in (*DATA_FIELDS, *TRAINING_FIELDS)}

# One line under each section's head in a plan file.
SECTIONS: dict[str, str] = {
    "subject": "What is trained, and the words that call it.",
    "pictures": "The training pictures; every one keeps its shape.",
    "regularization": "Class pictures, or prior prediction: what keeps the class word from becoming the subject.",
    "captions": "How the text beside each picture becomes what is trained.",
    "base": "The SDXL model that is trained on.",
    "network": "The adapter.",
    "optimizer": "What moves the weights, and how fast.",
    "length": "How long; steps = epochs x pictures x repeats / batch, bucket by bucket.",
    "loss": "Variations on the plain loss; all off is the usual choice.",
    "samples": "Pictures drawn during training.",
    "machine": "What may be used of the computer; memory is measured and fitted at the start.",
    "output": "The files that training writes.",
}
