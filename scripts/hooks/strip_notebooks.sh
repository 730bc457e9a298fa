#!/usr/bin/env bash
# Strip outputs and the kernel's version from notebooks. Called by Git's filter (make hooks), so that running a
# notebook in JupyterLab does not change it for Git, and by pre-commit with the paths of files.
STRIP=.venv/bin/nbstripout
[ -x "$STRIP" ] || STRIP=nbstripout
LANGUAGE="codemirror_mode file_extension mimetype nbconvert_exporter pygments_lexer version"
exec "$STRIP" --keep-id --extra-keys "$(printf 'metadata.language_info.%s ' $LANGUAGE)metadata.papermill" "$@"
