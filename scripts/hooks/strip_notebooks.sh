#!/usr/bin/env bash
# Notebooks as they are committed: without outputs, and without what a kernel's version leaves in them. Git's
# filter calls it (make hooks), so a notebook that was run in JupyterLab is no change; pre-commit calls it with
# the paths of files.
STRIP=.venv/bin/nbstripout
[ -x "$STRIP" ] || STRIP=nbstripout
LANGUAGE="codemirror_mode file_extension mimetype nbconvert_exporter pygments_lexer version"
exec "$STRIP" --keep-id --extra-keys "$(printf 'metadata.language_info.%s ' $LANGUAGE)metadata.papermill" "$@"
