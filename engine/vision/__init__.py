"""Small models that look at pictures: embeddings, copies, labels, faces."""
