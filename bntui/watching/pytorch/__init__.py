"""Records any PyTorch training loop: sees what passes through a model's modules in the steps that are measured."""
