"""Pictures and Markdown that show what runs and score tables say."""
