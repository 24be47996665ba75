"""The runner of tasks: order, files, workers that die, exceptions and interrupts, wherever the tasks are done."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import runner_tasks
from hypothesis import given, settings
from hypothesis import strategies as st

from multispin_gym._running.ray_workers import RayFlag, RayPool, perform_on_ray
from multispin_gym.runner import Interrupted, Task, interrupted, pass_on_interrupt, run_tasks

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cluster():
    """A Ray of two workers, and its address."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(params=["processes", pytest.param("ray", marks=pytest.mark.slow)])
def workers(request):
    """The runners whose workers may die."""
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


def until(condition):
    deadline = time.monotonic() + 120.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def draws(count=7):
    return [Task(f"draw-{seed}", runner_tasks.draw, (seed,)) for seed in range(count)]


@pytest.mark.slow
def test_results_are_the_same_bit_for_bit_here_in_processes_and_on_ray():
    import ray

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    here = run_tasks(draws())
    assert [result["seed"] for result in here] == list(range(7))
    assert repr(run_tasks(draws(), runner="processes", jobs=2)) == repr(here)
    assert repr(run_tasks(draws(), runner="ray", jobs=2)) == repr(here)
    assert not ray.is_initialized()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.slow
def test_a_cluster_with_an_address_that_is_none_is_refused(monkeypatch):
    import ray

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(ValueError, match="nonsense"):
        run_tasks(draws(1), runner="ray")
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_results_come_in_the_order_of_the_tasks_whatever_order_they_end_in(tmp_path):
    first = Task("first", runner_tasks.after, (str(tmp_path / "last"), "waited"))
    last = Task("last", runner_tasks.write, (str(tmp_path / "last"),))
    assert run_tasks([first, last], runner="processes", jobs=2) == ["waited", "written"]


def test_no_tasks_have_no_results():
    assert run_tasks([], runner="processes") == []


@pytest.mark.slow
def test_the_exit_code_of_a_worker_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="t: its worker died 4 times, the last time with exit code 3"):
        run_tasks([Task("t", runner_tasks.die, (str(tmp_path), "t"))], runner="processes")


def counting(folder, values):
    return [Task(name, runner_tasks.counted, (str(folder), name, value)) for name, value in values.items()]


def executions(folder, *names):
    return [runner_tasks.runs(folder, name) for name in names]


def test_a_resumed_run_does_what_is_missing_changed_or_damaged(tmp_path):
    kept, traces = tmp_path / "kept", tmp_path
    values = {name: [name, 0.1] for name in "abcdefg"}
    first = run_tasks(counting(traces, values), folder=kept)
    (kept / "b.json").unlink()
    (kept / "c.json").write_text((kept / "c.json").read_text()[:-10])
    (kept / "d.json").write_text("[1, 2]\n")
    (kept / "e.json").write_bytes(b"\xff\xfe")
    stored = json.loads((kept / "f.json").read_text())
    del stored["result"]
    (kept / "f.json").write_text(json.dumps(stored))
    assert run_tasks(counting(traces, values), folder=kept, resume=True) == first
    assert executions(traces, *"abcdefg") == [1, 2, 2, 2, 2, 2, 1]
    changed = run_tasks(counting(traces, {**values, "a": "new"}), folder=kept, resume=True)
    assert changed == ["new", *first[1:]]
    assert executions(traces, *"abcdefg") == [2, 2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("result", [["a", 0.2], {"x": float("nan")}, 10**400, None, [[[]]]])
def test_a_result_that_somebody_has_changed_counts_as_nothing(tmp_path, result):
    kept = tmp_path / "kept"
    (first,) = run_tasks(counting(tmp_path, {"a": ["a", 0.1]}), folder=kept)
    stored = json.loads((kept / "a.json").read_text())
    (kept / "a.json").write_text(json.dumps({**stored, "result": result}))
    assert run_tasks(counting(tmp_path, {"a": ["a", 0.1]}), folder=kept, resume=True) == [first]
    (kept / "a.json").write_bytes(b"[" * 100_000)
    assert run_tasks(counting(tmp_path, {"a": ["a", 0.1]}), folder=kept, resume=True) == [first]
    assert executions(tmp_path, "a") == [3]


def test_a_run_that_is_not_resumed_starts_anew_and_leaves_other_files_alone(tmp_path):
    kept = tmp_path / "kept"
    run_tasks(counting(tmp_path, {"a": 1, "b": 2}), folder=kept)
    before = (kept / "b.json").read_bytes()
    with pytest.raises(ValueError, match="a-fails: no good"):
        run_tasks([Task("a-fails", runner_tasks.fail, ("ValueError",)), *counting(tmp_path, {"a": 1})], folder=kept)
    assert not (kept / "a.json").exists()
    assert (kept / "b.json").read_bytes() == before


def test_the_key_says_what_a_result_depends_on(tmp_path):
    def run(value, key):
        return run_tasks(
            [Task("t", runner_tasks.counted, (str(tmp_path), "t", value), key)], folder=tmp_path, resume=True
        )

    assert run(1, "same") == [1]
    assert run(2, "same") == [1]
    assert run(2, "other") == [2]


def test_arrays_differ_in_the_key_as_soon_as_they_differ_in_a_bit():
    array = np.linspace(0.0, 1.0, 3000)
    other = array.copy()
    other[1500] = np.nextafter(other[1500], 2.0)
    digests = [Task("t", runner_tasks.draw, (values,)).digest() for values in (array, array.copy(), other)]
    assert digests[0] == digests[1] != digests[2]


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
INNER = LEAVES | st.lists(LEAVES, max_size=4) | st.dictionaries(st.text(), LEAVES, max_size=4)
JSON = INNER | st.lists(INNER, max_size=4) | st.dictionaries(st.text(), INNER, max_size=4)


@settings(max_examples=25)
@given(JSON)
def test_kept_results_come_back_to_the_last_bit(value):
    task = Task("t", runner_tasks.python_path, key="any")
    with tempfile.TemporaryDirectory() as folder:
        fresh = run_tasks([Task("t", lambda: value, key="any")], folder=Path(folder))
        again = run_tasks([task], folder=Path(folder), resume=True)
    assert repr(fresh) == repr(again) == repr([value])


def test_kept_results_are_as_json_gives_them_back_whether_computed_or_read(tmp_path):
    tasks = [Task("t", runner_tasks.counted, (str(tmp_path), "t", {"pair": (1, 2.5), 3: "three"}))]
    assert run_tasks(tasks) == [{"pair": (1, 2.5), 3: "three"}]
    for resume in (False, True):
        assert run_tasks(tasks, folder=tmp_path, resume=resume) == [{"pair": [1, 2.5], "3": "three"}]
    assert executions(tmp_path, "t") == [2]


def test_progress_counts_what_is_finished(tmp_path):
    calls = []
    run_tasks(draws(3), folder=tmp_path, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    run_tasks(draws(4), folder=tmp_path, resume=True, progress=lambda *call: calls.append(call))
    assert calls[3:] == [(3, 4), (4, 4)]


@pytest.mark.slow
def test_a_task_whose_worker_is_killed_is_done_again_and_no_other(tmp_path, workers):
    killed = Task("killed", runner_tasks.die_once, (str(tmp_path), "killed"))
    others = counting(tmp_path, {"a": 1, "b": 2, "c": 3})
    assert run_tasks([killed, *others], runner=workers, jobs=2, folder=tmp_path / "kept") == [2, 1, 2, 3]
    assert executions(tmp_path, "killed", "a", "b", "c") == [2, 1, 1, 1]


@pytest.mark.slow
def test_a_task_that_always_kills_its_worker_is_named(tmp_path, workers):
    tasks = [Task("deadly", runner_tasks.die, (str(tmp_path), "deadly")), *counting(tmp_path, {"a": 1})]
    with pytest.raises(RuntimeError, match=r"^deadly: its worker died 4 times"):
        run_tasks(tasks, runner=workers, jobs=2, folder=tmp_path / "kept")
    assert executions(tmp_path, "deadly", "a") == [4, 1]
    assert (tmp_path / "kept" / "a.json").exists()


@pytest.mark.slow
def test_a_worker_that_dies_between_two_tasks_is_replaced(tmp_path):
    def let_it_die(done, total):
        if done == 1:
            (tmp_path / "go").write_text("")
            until(lambda: is_free(tmp_path / "a.lock"))

    tasks = [Task("a", runner_tasks.die_later, (str(tmp_path), "a")), *counting(tmp_path, {"b": 2, "c": 3})]
    assert run_tasks(tasks, runner="processes", jobs=1, progress=let_it_die) == ["done", 2, 3]
    assert executions(tmp_path, "a", "b", "c") == [1, 1, 1]


@pytest.mark.slow
def test_exceptions_come_out_with_their_type_and_the_name_of_their_task(workers):
    def run(kind):
        run_tasks([Task("bad", runner_tasks.fail, (kind,))], runner=workers, jobs=1)

    with pytest.raises(ValueError, match="bad: no good") as caught:
        run("ValueError")
    assert str(caught.value) == "bad: no good"
    assert "in fail\n" in caught.value.__notes__[0]
    with pytest.raises(KeyError, match="'missing'") as caught:
        run("KeyError")
    assert caught.value.__notes__[-1] == "In the task bad."
    with pytest.raises(FileNotFoundError) as caught:
        run("OSError")
    assert (caught.value.errno, caught.value.filename) == (2, "data.csv")
    with pytest.raises(RuntimeError, match="bad: AwkwardError: 1 and 2"):
        run("Awkward")


def test_exceptions_here_are_the_very_ones_that_were_raised():
    with pytest.raises(runner_tasks.AwkwardError, match="bad: 1 and 2"):
        run_tasks([Task("bad", runner_tasks.fail, ("Awkward",))])
    with pytest.raises(SystemExit):
        run_tasks([Task("bad", sys.exit, (3,))])


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["local", "processes"])
def test_after_an_exception_no_task_begins_and_what_is_finished_stays(tmp_path, runner):
    tasks = counting(tmp_path, {"a": 1, "b": 2})
    tasks.insert(1, Task("bad", runner_tasks.fail, ("ValueError",)))
    with pytest.raises(ValueError, match="bad: no good"):
        run_tasks(tasks, runner=runner, jobs=1, folder=tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["a.json"]
    assert executions(tmp_path, "a", "b") == [1, 0]


@pytest.mark.slow
def test_what_cannot_be_sent_to_a_worker_or_back_is_named():
    with pytest.raises(TypeError, match=r"^lost: its function and arguments must be picklable: .*lambda"):
        run_tasks([*draws(1), Task("lost", lambda: 1)], runner="processes")
    with pytest.raises(TypeError, match=r"^lost: its function and arguments must be picklable"):
        run_tasks([Task("lost", runner_tasks.after, (threading.Lock(), 1))], runner="processes")
    with pytest.raises(TypeError, match=r"^lost: cannot be unpickled in a worker: no good"):
        run_tasks([Task("lost", print, (runner_tasks.ComesNotBack(),))], runner="processes")
    for function, complaint in (("return_function", "pickled"), ("come_not_back", "unpickled")):
        with pytest.raises(TypeError, match=rf"^lost: its result cannot be {complaint}"):
            run_tasks([Task("lost", getattr(runner_tasks, function))], runner="processes")


def test_a_result_that_is_not_json_able_is_refused_where_it_is_to_be_kept(tmp_path):
    tasks = [Task("lost", runner_tasks.counted, (str(tmp_path), "lost", {1j}))]
    assert run_tasks(tasks) == [{1j}]
    with pytest.raises(TypeError, match=r"^lost: its result .* must be JSON-able for that: .*set"):
        run_tasks(tasks, folder=tmp_path)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../a", "a b", "é", "a\n", "-a", "x" * 201, 3])
def test_names_that_are_unfit_for_files_are_refused(name):
    with pytest.raises(ValueError, match="name of a task must"):
        Task(name, runner_tasks.python_path)


def test_bad_tasks_and_arguments_are_refused(tmp_path):
    with pytest.raises(TypeError, match="function of the task t must be callable, got 3"):
        Task("t", 3)
    with pytest.raises(TypeError, match="arguments of the task t must be a tuple"):
        Task("t", runner_tasks.draw, [1])
    with pytest.raises(ValueError, match="names of tasks must differ, in more than capitals; 'a' is there 2 times"):
        run_tasks([Task(name, runner_tasks.python_path) for name in "abA"])
    with pytest.raises(ValueError, match=r"runner must be one of local, processes, ray; got 'proceses'. Did you mean"):
        run_tasks([], runner="proceses")
    with pytest.raises(ValueError, match="jobs must be a whole number"):
        run_tasks([], jobs=-1)
    with pytest.raises(ValueError, match="resume needs a folder"):
        run_tasks([], resume=True)


def test_ray_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"^ray is not installed: pip install 'multispin-gym\[ray\]'$"):
        run_tasks(draws(1), runner="ray")


@pytest.mark.slow
def test_functions_without_a_module_of_their_own_can_be_done_on_ray(cluster):
    assert run_tasks([Task(f"t{i}", lambda i=i: i * 2) for i in range(3)], runner="ray") == [0, 2, 4]


CONNECT = """
import json, sys, ray, runner_tasks
from multispin_gym.runner import Task, run_tasks
def address():
    import ray
    return ray.get_runtime_context().gcs_address
print(json.dumps(run_tasks([Task("a", address)], runner="ray")))
"""


@pytest.mark.slow
def test_a_cluster_that_the_environment_names_is_used_and_left_running(cluster):
    import ray

    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", CONNECT],
        cwd=HERE,
        env={**os.environ, "RAY_ADDRESS": cluster},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(finished.stdout) == [cluster]
    assert ray.cluster_resources()["CPU"] == 2


@pytest.mark.slow
def test_workers_of_ray_know_of_an_interrupt_as_soon_as_its_actor_exists(cluster):
    pool = RayPool(1, 1, None)
    with pool:
        payload = pool.pack(Task("t", interrupted))
        assert pool.flag.is_set() is RayFlag(pool._name).is_set() is False
        pool.flag.set()
        assert list(pool.wait()) == []
        assert RayFlag(pool._name).is_set()
        assert b"interrupted" in perform_on_ray(payload, pool._name, sys.path)


SCRIPT = """
import json, sys
from pathlib import Path
import runner_tasks
from multispin_gym.runner import Interrupted, Task, run_tasks
folder, runner, function, *how = sys.argv[1:]
tasks = [Task(name, getattr(runner_tasks, function), (folder, name, *how)) for name in "abcde"]
try:
    run_tasks(tasks, runner=runner, jobs=2, folder=Path(folder) / "kept")
except Interrupted as stopped:
    print(json.dumps([str(stopped), stopped.results]))
    sys.exit(130)
"""


@pytest.fixture
def start(tmp_path):
    """Start a run that waits for an interrupt, and return its process once its first tasks are under way."""
    started = []

    def begin(runner, function, *how):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), runner, function, *how]
        process = subprocess.Popen(
            command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        for name in names(runner):
            until(lambda name=name: process.poll() is not None or (tmp_path / f"{name}.begun").exists())
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def names(runner):
    return "a" if runner == "local" else "ab"


def ended(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err == ""
    return json.loads(out)


RUNNERS = ["local", "processes", pytest.param("ray", marks=pytest.mark.slow)]


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("target", ["group", "parent"])
def test_an_interrupt_lets_tasks_under_way_end_and_starts_no_more(tmp_path, start, runner, target):
    process = start(runner, "watch", "return")
    (os.killpg if target == "group" else os.kill)(process.pid, signal.SIGINT)
    message, results = ended(process)
    assert results == dict.fromkeys(names(runner), "ended in order")
    assert message == f"interrupted: {len(results)} of 5 tasks are finished"
    assert sorted(path.stem for path in (tmp_path / "kept").iterdir()) == sorted(results)
    assert sum(executions(tmp_path, *"abcde")) == len(results)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["watch", "handle_alone"])
def test_an_interrupt_that_reaches_only_a_worker_ends_the_run(tmp_path, start, function):
    process = start("processes", function, *(["return"] if function == "watch" else []))
    for name in "ab" if function == "handle_alone" else "a":
        os.kill(int((tmp_path / f"{name}.begun").read_text()), signal.SIGINT)
    assert ended(process)[1] == {"a": "ended in order", "b": "ended in order"}
    assert executions(tmp_path, *"cde") == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["local", "processes"])
def test_a_task_that_leaves_for_an_interrupt_is_not_finished(tmp_path, start, runner):
    process = start(runner, "watch", "leave")
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process) == ["interrupted: 0 of 5 tasks are finished", {}]
    assert not (tmp_path / "kept").exists()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["group", "parent"])
def test_an_interrupt_reaches_tasks_within_tasks(start, target):
    process = start("processes", "watch_inside", "return")
    (os.killpg if target == "group" else os.kill)(process.pid, signal.SIGINT)
    assert ended(process)[1] == {}


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["local", "processes"])
def test_a_failure_after_the_interrupt_does_not_hide_it(start, runner):
    process = start(runner, "watch", "fail")
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process)[1] == {}


def is_free(path):
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_second_interrupt_ends_tasks_at_once(tmp_path, start, runner):
    process = start(runner, "watch", "stay")
    os.killpg(process.pid, signal.SIGINT)
    until(lambda: all((tmp_path / f"{name}.told").exists() for name in names(runner)))
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process)[1] == {}
    until(lambda: all(is_free(tmp_path / f"{name}.lock") for name in names(runner)))


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS[1:])
def test_workers_end_with_the_process_that_runs_them(tmp_path, start, runner):
    process = start(runner, "watch", "stay")
    process.kill()
    until(lambda: all(is_free(tmp_path / f"{name}.lock") for name in "ab"))


def test_outside_runs_there_is_no_interrupt():
    pass_on_interrupt()
    assert not interrupted()


def test_a_task_can_pass_on_an_interrupt_and_other_threads_run_tasks_too():
    caught = []

    def run():
        try:
            run_tasks([Task("a", pass_on_interrupt), *draws(2)])
        except Interrupted as stopped:
            caught.append(stopped.results)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert caught == [{"a": None}]
