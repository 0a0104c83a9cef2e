"""Parts of the Job that is sent: options, patches, secrets, the security floor."""
