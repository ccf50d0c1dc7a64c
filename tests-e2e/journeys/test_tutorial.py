"""The commands of the tutorial, run exactly as the document shows them."""

from quintet_e2e import transcripts
from quintet_e2e.stacks import CHECKOUT


def test_tutorial_responds_as_shown(stack, tmp_path):
    transcripts.assert_runs_as_shown(CHECKOUT / "docs" / "tutorial.md", stack, tmp_path)
