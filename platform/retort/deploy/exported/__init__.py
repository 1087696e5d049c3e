"""Modules that an export writes beside a model, for ``trust_remote_code=True``: each one whole in itself, without Retort."""
