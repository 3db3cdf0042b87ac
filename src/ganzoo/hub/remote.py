"""A saved model's files from a repository on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from ganzoo.errors import HubError
from ganzoo.hub.folder import CONFIG, WEIGHTS


def fetch(
    repo_id: str,
    parts: Sequence[str],
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    endpoint: str | None = None,
) -> Path:
    """Download (or find in the cache) config and weights of `parts` of `repo_id`; return the snapshot's folder.

    Args:
        parts: "" for the root, "discriminator", "generator_raw".

    Raises:
        HubError: the Hub does not give it; the client's own error is its cause.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    folder = Path()
    try:
        for part in parts:
            for name in (CONFIG, WEIGHTS):
                found = hf_hub_download(
                    repo_id,
                    name,
                    subfolder=part or None,
                    revision=revision,
                    token=token,
                    cache_dir=cache_dir,
                    local_files_only=local_files_only,
                    endpoint=endpoint,
                    library_name="ganzoo",
                    library_version=version("ganzoo-torch"),
                )
                if not part:
                    folder = Path(found).parent
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise HubError(
            f"{repo_id} can't be had from the Hub ({first}); check the name, the network and the token."
        ) from error
    return folder
