"""A folder on disk that follows a project live, and the other way round."""
