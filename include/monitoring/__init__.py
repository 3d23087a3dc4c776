"""What the serving process logged, held against what the release was certified on."""
