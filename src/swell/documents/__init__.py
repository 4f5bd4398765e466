"""What swell shows of each noun, as JSON objects: the one shape of it for `--json`, the HTTP API and the dashboard."""
