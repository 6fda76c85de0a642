"""Where secrets live. The agent and the setup use it; no view and no worker ever imports it."""
