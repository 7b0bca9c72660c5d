"""What the screens are made of: boards that repaint only what changed, the chart, pictures, dialogs."""
