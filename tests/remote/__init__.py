"""Checkpoints at URLs, on real servers: nginx, rclone and OpenSSH, and a proxy before them that fails as networks do."""
