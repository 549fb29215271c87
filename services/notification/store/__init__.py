"""Every query of notification: `inbox` for recipients and their notices, `channel` for channels and deliveries."""
