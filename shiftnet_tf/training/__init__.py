"""Training: data, model, losses, optimizers, callbacks, checkpoints."""
