"""What one upstream needs changed in a request: the model's id, and the spelling of a few fields.

Each module holds one rule as pure functions. A rule of a JSON body has the shape ``(payload, upstream, model) ->
payload``, where ``model`` is the id as the upstream knows it; it returns the payload it was given when it has nothing
to change. ``apply.adapt`` runs those that fit; ``azure`` also builds the paths of Azure OpenAI.
"""
