"""Every query of dispatch: tickets and work orders, conversation, returns, endpoints, deliveries."""
