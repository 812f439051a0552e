"""The kernel, as Jupyter's clients meet it: the protocol's own tests, and what they leave open.

All but what needs a kernel of its own is asked of one kernel.
"""

import os
import subprocess
import time
import unittest
from threading import Timer

import jupyter_kernel_test
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

from lab import jupyter
from lab.place import KERNELS, ROOT

os.environ |= jupyter.environment()
TIMEOUT = 120
DISPLAY = 'println!(r#"CANDLE_EXPLAIN_DISPLAY {{"id": "{}", "data": {{"text/plain": "{}"}}, "passing": {}}}"#);'


def display(name: str, text: str, passing: bool = True) -> str:
    return DISPLAY.format(name, text, str(passing).lower()).replace("{", "{{").replace("}", "}}")


class Kernel:
    """A kernel and a client of it."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="rust")
        self.manager.start_kernel(cwd=str(ROOT / "lab"))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)

    def run(self, code: str, **how: object) -> tuple[dict, list[dict]]:
        """The reply to a cell, and what was shown of it."""
        return self.outcome(self.client.execute(code, **how))

    def outcome(self, request: str) -> tuple[dict, list[dict]]:
        shown = []
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    return self.reply(request), shown
            elif message["msg_type"] != "execute_input":
                shown.append({"kind": message["msg_type"], **message["content"]})

    def reply(self, request: str) -> dict:
        while True:
            message = self.client.get_shell_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") == request:
                return message["content"]

    def interrupted(self, code: str, after: float) -> tuple[dict, float]:
        """The reply to a cell that is interrupted, and how long it went on after that."""
        request = self.client.execute(code)
        asked = []
        timer = Timer(after, lambda: (asked.append(time.monotonic()), self.manager.interrupt_kernel()))
        timer.start()
        reply, _ = self.outcome(request)
        timer.cancel()
        return reply, time.monotonic() - asked[0] if asked else 0.0

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()


def texts(shown: list[dict], name: str) -> str:
    return "".join(one["text"] for one in shown if one["kind"] == "stream" and one["name"] == name)


class Protocol(jupyter_kernel_test.KernelTests):
    kernel_name = "rust"
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("careful");'
    completion_samples = [{"text": "let numbers = vec![1]; numbers.is_emp", "matches": {"is_empty()"}}]
    complete_code_samples = ["1", "fn f() {}", 'let s = "a {";']
    incomplete_code_samples = ["fn f() {", "let v = [1,", '"a']
    invalid_code_samples = ["}", "f(]"]
    code_generate_error = 'panic!("on purpose");'
    code_execute_result = [{"code": "6 * 7", "result": "42"}, {"code": "6 * 8", "result": "48"}]
    code_display_data = [{"code": display("own", "50%", passing=False), "mime": "text/plain"}]
    code_history_pattern = "6 * 7"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "String"


class Cells(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.kernel = Kernel()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.kernel.stop()

    def failure(self, code: str) -> dict:
        reply, shown = self.kernel.run(code)
        self.assertEqual(reply["status"], "error")
        [failure] = [one for one in shown if one["kind"] == "error"]
        self.assertEqual(failure["traceback"], reply["traceback"])
        self.assertNotIn(str(ROOT), str(failure))
        return failure

    def test_a_compile_error_has_the_compilers_code_and_the_line(self) -> None:
        failure = self.failure('let n = 1;\nlet text: String = n;')
        self.assertEqual((failure["ename"], failure["evalue"]), ("E0308", "mismatched types"))
        self.assertIn("let text: String = n;", "\n".join(failure["traceback"]))

    def test_a_panic_names_its_line(self) -> None:
        failure = self.failure("let numbers = vec![1];\nnumbers[3]")
        self.assertEqual(failure["ename"], "panic")
        self.assertIn("the index is 3", failure["evalue"])
        self.assertIn("2 | numbers[3]", failure["traceback"])

    def test_an_error_passed_up_is_told_and_not_printed(self) -> None:
        reply, shown = self.kernel.run('"x".parse::<i32>()?')
        self.assertEqual((reply["ename"], reply["evalue"]), ("Error", "invalid digit found in string"))
        self.assertEqual(texts(shown, "stderr"), "")

    def test_a_last_value_that_is_an_error_ends_its_cell_so(self) -> None:
        reply, shown = self.kernel.run(r'''println!(r#"CANDLE_EXPLAIN_FAILED "no such file""#);''')
        self.assertEqual((reply["status"], reply["ename"], reply["evalue"]), ("error", "Error", "no such file"))
        self.assertEqual(texts(shown, "stdout") + texts(shown, "stderr"), "")

    def test_a_process_that_ends_is_told(self) -> None:
        reply, shown = self.kernel.run('println!("last words"); std::process::abort();')
        self.assertEqual(reply["ename"], "CellDied")
        self.assertEqual(texts(shown, "stdout"), "last words\n")
        self.assertEqual(self.kernel.run("1")[0]["status"], "ok")

    def test_variables_outlive_failures(self) -> None:
        self.kernel.run("let kept = 7;")
        for code in ('panic!("no")', '"x".parse::<i32>()?', "let text: String = 1;"):
            self.failure(code)
        self.assertEqual(self.kernel.run("kept")[1][0]["data"]["text/plain"], "7")

    def test_cells_are_counted_unless_they_are_silent_or_not_stored(self) -> None:
        first = self.kernel.run("1")[0]["execution_count"]
        self.assertEqual(self.kernel.run("1", silent=True)[1], [])
        self.assertEqual(self.kernel.run("1", store_history=False)[0]["execution_count"], first)
        self.assertEqual(self.kernel.run("1")[0]["execution_count"], first + 1)

    def test_cells_behind_a_failed_one_are_given_up(self) -> None:
        requests = [self.kernel.client.execute(code) for code in ('panic!("no")', "1", "2")]
        statuses = [self.kernel.outcome(request)[0]["status"] for request in requests]
        self.assertEqual(statuses, ["error", "aborted", "aborted"])
        self.kernel.client.execute('panic!("no")', stop_on_error=False)
        self.assertEqual(self.kernel.run("1")[0]["status"], "ok")

    def test_text_comes_at_once_also_without_a_line_end(self) -> None:
        _, shown = self.kernel.run(
            'use std::io::Write; print!("50%"); std::io::stdout().flush()?;'
            'std::thread::sleep(std::time::Duration::from_millis(300)); println!("\\r60%");'
        )
        self.assertEqual([one["text"] for one in shown], ["50%", "\r60%\n"])

    def test_text_that_nobody_flushed_belongs_to_its_cell(self) -> None:
        self.assertEqual(texts(self.kernel.run('print!("end");')[1], "stdout"), "end")

    def test_a_result_in_several_forms_is_one(self) -> None:
        form = 'println!("EVCXR_BEGIN_CONTENT {}\\n{}\\nEVCXR_END_CONTENT");'
        _, [shown] = self.kernel.run(form.format("text/html", "<b>1</b>") + form.format("text/plain", "1"))
        self.assertEqual((shown["kind"], shown["data"]), ("execute_result", {"text/html": "<b>1</b>", "text/plain": "1"}))

    def test_the_reader_is_asked_for_input(self) -> None:
        code = 'println!("EVCXR_INPUT_REQUEST:name? "); let mut name = String::new();'
        code += "std::io::stdin().read_line(&mut name)?; name.trim().to_owned()"
        request = self.kernel.client.execute(code, allow_stdin=True)
        question = self.kernel.client.get_stdin_msg(timeout=TIMEOUT)
        self.assertEqual(question["content"]["prompt"], "name? ")
        self.kernel.client.input("Mai")
        self.assertEqual(self.kernel.outcome(request)[1][0]["data"]["text/plain"], '"Mai"')

    def test_expressions_are_refused_and_the_cell_runs(self) -> None:
        reply, _ = self.kernel.run("1", user_expressions={"a": "1"})
        self.assertEqual((reply["status"], reply["user_expressions"]["a"]["status"]), ("ok", "error"))

    def test_a_place_changes_and_makes_room_for_the_result(self) -> None:
        wait = "std::thread::sleep(std::time::Duration::from_millis(50));"
        _, shown = self.kernel.run(f'{display("a", "5%")}{wait}{display("a", "50%")}{display("b", "1", False)} 42')
        self.assertEqual(
            [(one["kind"], one["transient"]["display_id"], one["data"]["text/plain"]) for one in shown],
            [("display_data", "a", "5%"), ("update_display_data", "a", "50%"), ("display_data", "b", "1"),
             ("update_display_data", "a", "42")],
        )

    def test_the_kernel_answers_while_a_cell_runs(self) -> None:
        cell = self.kernel.client.execute("std::thread::sleep(std::time::Duration::from_secs(3));")
        time.sleep(1)
        start = time.monotonic()
        self.kernel.reply(self.kernel.client.kernel_info())
        self.assertEqual(self.kernel.reply(self.kernel.client.complete("ve"))["matches"], [])
        self.assertLess(time.monotonic() - start, 1)
        self.assertEqual(self.kernel.outcome(cell)[0]["status"], "ok")

    def test_long_work_that_looks_for_the_file_stops_and_leaves_the_variables(self) -> None:
        self.kernel.run("let kept = 8;")
        reply, took = self.kernel.interrupted(
            'let file = std::env::var("CANDLE_EXPLAIN_INTERRUPT")?;'
            "while !std::path::Path::new(&file).exists() { std::thread::sleep(std::time::Duration::from_millis(50)); }"
            'Err::<(), _>("interrupted".to_owned())?;',
            after=2,
        )
        self.assertEqual(reply["ename"], "Interrupted")
        self.assertLess(took, 1)
        self.assertEqual(self.kernel.run("kept")[1][0]["data"]["text/plain"], "8")

    def test_a_loop_is_ended_with_the_variables(self) -> None:
        self.kernel.run("let lost = 9;")
        reply, took = self.kernel.interrupted("loop {}", after=2)
        self.assertEqual(reply["ename"], "Interrupted")
        self.assertIn("ended with all variables", reply["evalue"])
        self.assertLess(took, 4)
        self.assertEqual(self.kernel.run("lost")[0]["ename"], "E0425")

    def test_the_compiler_is_ended_and_leaves_the_variables(self) -> None:
        self.kernel.run("let kept = 10;")
        slow = "const fn f(n: u64) -> u64 { if n < 2 { n } else { f(n - 1) + f(n - 2) } } pub const X: u64 = f(38);"
        code = f"#[allow(long_running_const_eval)] mod m {{ {slow} }} m::X"
        reply, took = self.kernel.interrupted(code, after=2)
        self.assertEqual(reply["ename"], "Interrupted")
        self.assertLess(took, 2)
        self.assertEqual(self.kernel.run("kept")[1][0]["data"]["text/plain"], "10")

    def test_a_message_with_a_wrong_signature_is_ignored(self) -> None:
        client = self.kernel.client
        right = client.session
        client.shell_channel.session = Session(key=b"wrong", session=right.session, username=right.username)
        ignored = client.execute('std::fs::write("should-not-be-there", "")?;')
        client.shell_channel.session = right
        self.assertEqual(self.kernel.run("1")[0]["status"], "ok")
        self.assertNotEqual(ignored, "")
        self.assertFalse((ROOT / "lab" / "should-not-be-there").exists())


class Lives(unittest.TestCase):
    def test_a_restart_forgets_and_a_shutdown_leaves_nothing(self) -> None:
        before = set(KERNELS.glob("*/"))
        kernel = Kernel()
        kernel.run("let a = 1;")
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=TIMEOUT)
        reply, _ = kernel.run("a")
        self.assertEqual((reply["ename"], reply["execution_count"]), ("E0425", 1))
        process = kernel.manager.provisioner.process.pid
        kernel.stop()
        deadline = time.monotonic() + 10
        while (left := (set(KERNELS.glob("*/")) - before, _in_group(process))) != (set(), ""):
            self.assertLess(time.monotonic(), deadline, left)
            time.sleep(0.1)

    def test_it_answers_before_the_compiler_is_ready(self) -> None:
        start = time.monotonic()
        kernel = Kernel()
        ready = time.monotonic() - start
        kernel.stop()
        self.assertLess(ready, 5)


def _in_group(process: int) -> str:
    return subprocess.run(["ps", "-o", "pid=", "-g", str(process)], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    unittest.main()
