"""The commands of the README and of the tour, run exactly as the documents show them."""

import pytest

from quintet_e2e import transcripts
from quintet_e2e.stacks import CHECKOUT


@pytest.mark.parametrize("document", ["README.md", "docs/tour.md"])
def test_services_respond_as_document_shows(stack, tmp_path, document):
    transcripts.assert_runs_as_shown(CHECKOUT / document, stack, tmp_path)
