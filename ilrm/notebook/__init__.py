"""Support for notebooks: validation of their parameters, and the `papermill` command.

With this import, a notebook finds `reports` wherever it lies.
"""

from ilrm.system.paths import find_suite

find_suite()
