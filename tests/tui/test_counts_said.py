"""What is counted is called what it is: steps of a training, pictures of a drawing job, bytes of a download."""

from __future__ import annotations

import pytest
from recorded_run import RecordedRun

from engine.runs.events import EventReader
from engine.runs.folder import create_run
from engine.runs.summary import read_summary
from tui.commands.status import progress
from tui.follow import Story
from tui.telling import progress_words, rate_words, stage_words


@pytest.mark.parametrize(("kind", "said"), [("regularize", "picture 3/40"), ("words", "picture 3/40"),
                                            ("bench", "step 3/40")])  # fmt: skip
def test_a_drawing_job_counts_pictures(kind: str, said: str):
    run = create_run("job", f'kind = "{kind}"\n', kind=kind)
    recorded = RecordedRun(run)
    recorded.event("started", verb=kind)
    for done in (1, 2, 3):
        recorded.event("step", step=done, steps=40)
    assert said in progress(read_summary(run))


def test_bytes_are_said_as_people_count_them():
    assert stage_words("reading it", 1_234_567_890, 6_938_040_682) == "reading it 1.2 GB of 6.9 GB"
    assert stage_words("encoding pictures", 12, 40) == "encoding pictures 12/40"
    assert progress_words(1_234_567_890, 6_938_040_682) == "1.2 GB of 6.9 GB"
    assert progress_words(1_200, 4_000) == "1,200 of 4,000" and progress_words(1_200, None) == "1,200"
    assert rate_words(2_000_000_000, 6_000_000_000, 5e8) == "500.0 MB/s, 8.0 s left"
    assert rate_words(10, 40, 0.5) == "2.0 s each, 60 s left"


def test_a_stage_is_followed_with_its_rate_and_what_is_left(capsys: pytest.CaptureFixture[str]):
    run = create_run("job", 'kind = "words"\n', kind="words")
    recorded = RecordedRun(run)
    recorded.event("started", verb="words")
    reader = EventReader(run.events)
    story = Story(run, as_json=False)
    story.tell(reader.poll())
    story._live = True
    for gigabytes in (0, 2):
        recorded.elapsed += 4
        recorded.event("stage", name="reading the base model", done=gigabytes * 10**9, total=6 * 10**9)
    story._stage = ("", 0.0)
    first, last = reader.poll()
    story.tell([first])
    story._stage = (story._stage[0], -100.0)  # a while later
    story.tell([last])
    said = " ".join(capsys.readouterr().out.split())
    assert "reading the base model 2.0 GB of 6.0 GB, 444.4 MB/s, 9.0 s left" in said


def test_a_jobs_second_round_has_a_pace_of_its_own():
    run = create_run("job", 'kind = "bank"\n', kind="bank")
    recorded = RecordedRun(run)
    recorded.event("started", verb="bank")
    for done in range(100, 141):
        recorded.event("step", step=done, steps=140)
    recorded.elapsed += 60  # looking at what was drawn
    for done in (21, 22, 23):
        recorded.event("step", step=done, steps=252)
    assert read_summary(run).rate == pytest.approx(2.0)
