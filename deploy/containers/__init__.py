"""The same parts, one container each: what docker-compose.yml and the images run."""
