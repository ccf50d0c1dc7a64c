"""The sessions in docs/cli.md, run on a new stack with the data for which they were recorded."""

import pytest

from quintet_e2e import demo_data, transcripts
from quintet_e2e.recordings import Recorder, normalize
from quintet_e2e.stacks import CHECKOUT, local_stack

DOCUMENT = CHECKOUT / "docs" / "cli.md"
COLUMNS = 80


@pytest.mark.slow
def test_commands_show_what_the_document_says(tmp_path):
    with local_stack() as stack:
        demo_data.fill(stack)
        recorder = Recorder(stack, tmp_path)
        for command, shown in transcripts.steps(DOCUMENT):
            assert normalize(command, recorder.run(command)) == normalize(command, shown), command


def test_recorded_output_fits_the_terminal():
    for command, shown in transcripts.steps(DOCUMENT):
        if "quintet" in command:
            # The terminal wraps error messages.
            lines = [line for line in shown.splitlines() if not line.startswith("Error: ")]
            assert max(map(len, lines), default=0) <= COLUMNS, command
