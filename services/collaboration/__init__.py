"""The Collaboration service: documents that many edit at once."""
