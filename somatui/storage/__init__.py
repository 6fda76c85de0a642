"""S3-compatible storage: putting objects there, and looking at them as anybody else would."""
