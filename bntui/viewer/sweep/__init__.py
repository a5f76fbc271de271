"""Shows a sweep: its combinations as a heat map or a ranked list, and the trials of one of them."""
