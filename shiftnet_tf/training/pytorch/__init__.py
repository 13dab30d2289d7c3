"""The recipe of configs/compact.toml in PyTorch, for machines with PyTorch but without TensorFlow.

Networks and losses compute the same as the Keras model, with the same weights. Images are float32 [B, C, H, W].
tests/test_training_pytorch.py compares predictions, losses and gradients with those of the Keras model.

Only the settings of compact.toml are supported, see `recipe.check_config`.
"""
