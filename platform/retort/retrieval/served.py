"""The loader of the models that version 0.1 logged: their ``MLmodel`` names this module, which MLflow imports to load them.

New models name :mod:`retort.deploy.served`.
"""

from retort.deploy.served import _load_pyfunc

__all__ = ["_load_pyfunc"]
