"""The guided setup at work: asks the agent, keeps what was answered, goes on where it broke off. It has no screen."""
