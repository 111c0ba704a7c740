"""Checkpoints at URLs, on real servers: nginx for HTTP, rclone for S3, and a proxy before them that fails as networks do."""
