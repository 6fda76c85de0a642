"""Child processes that do the heavy work, and the lines they speak with whoever started them."""
