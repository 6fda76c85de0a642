"""The guided setup without screen or agent: its steps and their words, what is done, what is next."""
