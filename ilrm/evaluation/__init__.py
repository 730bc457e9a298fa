"""What a model is worth: metrics beside baselines, layers and attention looked into."""
