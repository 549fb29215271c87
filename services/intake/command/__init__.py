"""What a caller may have done: shared by the HTTP interface and by the handlers of records."""
