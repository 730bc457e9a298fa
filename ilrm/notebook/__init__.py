"""Support for notebooks: validation of their parameters, and the `papermill` command.

Importing this package lets a notebook in any folder import `reports`.
"""

from ilrm.system.paths import find_suite

find_suite()
