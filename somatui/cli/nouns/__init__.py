"""One module per noun, each with its table of verbs; only the module that was typed is loaded."""
