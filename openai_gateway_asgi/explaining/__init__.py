"""What would become of a request: the layers that calls meet, over stand-ins that ask and take nothing."""
