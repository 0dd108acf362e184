"""Numbers that were forged, or whose record is gone, are found; what was never judged cannot be said."""

import json
import re
import shutil
from pathlib import Path

import msgspec

from engine.evaluate.evaluation import subset
from engine.evaluate.outcomes import FAILS, UNKNOWN, CheckResult
from engine.spec.outcomes import Outcome, decode, encode, pack, summarise, unpack
from engine.spec.rundir import RunDir
from engine.verify import __main__ as main
from tests.engine.tampering import events_of, failed, verified, write_events


def forged(record: Outcome, truth: list[int]) -> Outcome:
    """One more image counts as robust, and every figure agrees."""
    bits = unpack(record.robust, record.n)
    place = bits.index(False)
    bits[place] = True
    predicted = [truth[i] if i == place else guess for i, guess in enumerate(record.predicted)]
    figures = summarise(truth, predicted, bits, len(record.counts))
    return msgspec.structs.replace(record, robust=pack(bits), predicted=predicted, **figures._asdict())


def forge(run: RunDir, data: Path, attack: str) -> tuple[Outcome, Outcome]:
    """The record before, and as it is on the disk now."""
    config, machine = main.saved_run.read_run(run.path)[1], main.saved_run.machine_of(run, data=str(data))
    test = main.saved_run.load_data(config.data, machine).test.labels
    truth = test[subset(test, config.evaluation.images, config.evaluation.seed)].tolist()
    before = decode(run.result("best", attack).read_bytes())
    after = forged(before, truth)
    run.result("best", attack).write_bytes(encode(after))
    return before, after


def test_a_forged_record_disagrees_with_the_log_the_worst_case_and_the_second_judgement(copied):
    forge(*copied, "pgd")
    found = failed(*copied)
    assert {"record best pgd", "again best pgd"} <= found
    assert found <= {"record best pgd", "again best pgd", "worst case best", "marks best"}


def test_a_record_forged_with_its_log_and_status_is_found_by_judging_again(copied):
    run, data = copied
    _, after = forge(run, data, "fgsm")
    events = events_of(run)
    for event in events:
        if event["event"] == "evaluated" and (event["checkpoint"], event["attack"]) == ("best", "fgsm"):
            event |= {key: getattr(after, key) for key in ("accuracy", "low", "high", "per_class")}
    write_events(run, events)
    status = json.loads(run.status.read_bytes())
    status["results"]["best"]["fgsm"] = after.accuracy
    run.status.write_text(json.dumps(status))
    findings = verified(run, data)
    (again,) = [f for f in findings if f.what == "again best fgsm"]
    assert again.verdict == FAILS
    assert re.match(r"1 of 16 images differ, accuracy \S+ -> \S+ %, on an equal device", again.words)
    assert {f.what for f in findings if f.verdict == FAILS} <= {"again best fgsm", "worst case best", "marks best"}


def untold(run: RunDir, checkpoint: str, attack: str, *, done: bool) -> None:
    """Its record, and every word of it in the log and the status, are gone; so is the run's end unless `done`."""
    run.result(checkpoint, attack).unlink()
    events = events_of(run)
    told = [e for e in events if e["event"] == "evaluated" and (e["checkpoint"], e["attack"]) == (checkpoint, attack)]
    assert told
    ended = [e for e in events if e["event"] == "run_finished" and not done]
    write_events(run, [e for e in events if e not in told + ended], renumber=True)
    status = json.loads(run.status.read_bytes())
    del status["results"][checkpoint][attack]
    status["phase"] = "done" if done else "stopped"
    run.status.write_text(json.dumps(status))


def test_what_was_not_judged_cannot_be_said_and_without_weights_the_numbers_are_not_confirmed(copied):
    run, data = copied
    untold(run, "best", "worst", done=False)
    unknown = {f.what for f in verified(run, data, "--attack", "pgd") if f.verdict == UNKNOWN}
    assert unknown == {"record best worst"}
    run.weights_of("last").unlink()
    findings = verified(run, data, "--attack", "pgd")
    assert {f.what for f in findings if f.verdict == UNKNOWN} == {"record best worst", "weights last", "again last"}
    verdict, words = main.conclude(findings)
    assert verdict == UNKNOWN
    assert words.endswith("but not every judgement is confirmed; 3 cannot be said")


def test_a_run_that_is_done_lacks_no_record_even_where_nothing_tells_of_it(copied):
    run, data = copied
    untold(run, "best", "worst", done=True)
    (found,) = [f for f in verified(run, data, "--quick") if f.verdict == FAILS]
    assert found == CheckResult("record best worst", FAILS, "the run is done, but there is no record of it")


def test_a_number_without_a_record_does_not_hold(copied):
    """Forged in the log and the status, and the records that would contradict them deleted."""
    run, data = copied
    events = events_of(run)
    status = json.loads(run.status.read_bytes())
    for attack in ("pgd", "worst"):
        for event in events:
            if event["event"] == "evaluated" and (event["checkpoint"], event["attack"]) == ("best", attack):
                event["accuracy"] = 0.75
        status["results"]["best"][attack] = 0.75
        run.result("best", attack).unlink()
    write_events(run, events)
    run.status.write_text(json.dumps(status))
    findings = {f.what: f for f in verified(run, data, "--quick")}
    assert {what for what, f in findings.items() if f.verdict == FAILS} == {"record best pgd", "record best worst"}
    assert findings["record best pgd"].words == "the log tells 75.00 %, but there is no record of it"
    write_events(run, [event for event in events if event["event"] != "evaluated"])
    findings = {f.what: f for f in verified(run, data, "--quick")}
    assert findings["record best pgd"].words == "status.json tells 75.00 %, but there is no record of it"
    assert findings["record best pgd"].verdict == FAILS


def test_a_number_that_nobody_asked_for_does_not_hold(copied):
    run, data = copied
    shutil.copy(run.result("best", "pgd"), run.result("best", "autoattack"))
    findings = [f for f in verified(run, data, "--quick") if f.verdict == FAILS]
    words = "there is a file autoattack.json, but config.toml does not ask for it"
    assert findings == [CheckResult("record best autoattack", FAILS, words)]
