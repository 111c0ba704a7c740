"""ptzip average."""
