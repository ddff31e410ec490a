"""What ranking and generation share: texts as token ids, batches, passes through a model."""
