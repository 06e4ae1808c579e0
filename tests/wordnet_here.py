"""WordNet for the tests: brought once, into pytest's cache folder, by the function that users call."""

import os
from pathlib import Path

import nltk
import pytest
from filelock import FileLock

from zslbench.errors import NotFoundError
from zslbench.semantic_tests.wordnet_data import find_wordnet, get_wordnet, open_wordnet


@pytest.fixture(scope="session")
def wordnet_path(pytestconfig):
    """Where WordNet's data lie; on CI it fails where they cannot be had, elsewhere it skips with the reason."""
    if found := find_wordnet():
        return found
    folder = Path(pytestconfig.cache.mkdir("nltk_data")).resolve()
    folder.chmod(0o755)  # NLTK reads from no folder that others may write to
    nltk.data.path.insert(0, str(folder))
    try:
        with FileLock(folder / "lock"):  # of pytest-xdist's workers, one brings the data
            return get_wordnet().path
    except NotFoundError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


@pytest.fixture(scope="session")
def wordnet(wordnet_path):
    """NLTK's reader of WordNet."""
    return open_wordnet()
