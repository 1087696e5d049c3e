"""What publishers offer: where their files are, and how many turns and passages they hold."""
