"""Records training loops that are not bntui's own."""
