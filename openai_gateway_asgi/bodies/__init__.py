"""What a request's body says, as JSON and as a form: the model, what else it names, what it must not name."""
