"""The guided setup's screens: one for all steps, and the one that shows a new wallet's words."""
