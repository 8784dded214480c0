"""Live documents, without and with a connection; nothing here is loaded unless one is opened."""
