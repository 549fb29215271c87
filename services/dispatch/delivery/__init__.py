"""The delivery engine: signed webhooks, each endpoint sent to by one owner, at its own pace."""
