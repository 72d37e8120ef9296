"""What Vitalwire adds to Vitrage. Name it in vitrage.conf, [datasources] path."""
