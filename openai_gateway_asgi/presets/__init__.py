"""What presets make of models and calls: where an id leads, what it sets, and under which name it answers."""
