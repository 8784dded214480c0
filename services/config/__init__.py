"""Settings of all services: checked, versioned, told, and in force without a restart."""
