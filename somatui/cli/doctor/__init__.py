"""What commonly is wrong on an operator's machine: each check, what it means, and the one thing that cures it."""
