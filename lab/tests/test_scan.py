"""What counts as a failed cell. The outputs are those of the kernel, shortened."""

import unittest

from lab import scan


def stream(name: str, text: str) -> dict:
    return {"output_type": "stream", "name": name, "text": text}


def result(**data: str) -> dict:
    return {
        "output_type": "execute_result",
        "execution_count": 1,
        "metadata": {},
        "data": {name.replace("_", "/"): text for name, text in data.items()},
    }


def error(name: str, message: str, *traceback: str) -> dict:
    return {"output_type": "error", "ename": name, "evalue": message, "traceback": list(traceback)}


PANIC = error(
    "panic",
    "there is nothing here",
    "\x1b[1;31mpanic\x1b[0m: there is nothing here",
    "in line 2 of the cell:",
    "2 | nothing.unwrap()",
)
THREAD = stream("stderr", "\nthread '<unnamed>' (7) panicked at src/lib.rs:141:28:\nthere is nothing here\n")
QUESTION_MARK = error("Error", "invalid digit found in string", "\x1b[1;31mError\x1b[0m: invalid digit found in string")
COMPILE = error(
    "E0308",
    "mismatched types",
    "\x1b[1m\x1b[91merror[E0308]\x1b[0m\x1b[1m: mismatched types\x1b[0m",
    " \x1b[1m\x1b[94m--> \x1b[0mcell 4:2:21",
    "\x1b[1m\x1b[94m2\x1b[0m \x1b[1m\x1b[94m|\x1b[0m let wrong: String = half;",
)
FINE = [stream("stdout", "epoch 200: loss 0.43\n"), result(text_plain="[10.0, 20.0]", text_html="<b>0.79</b>")]


class Failures(unittest.TestCase):
    def test_results_and_stdout_are_no_failure(self) -> None:
        self.assertEqual(scan.failures(FINE), [])

    def test_a_warning_on_stderr_is_no_failure(self) -> None:
        self.assertEqual(scan.failures([stream("stderr", "the file is old\n")]), [])

    def test_a_panic_is_seen_in_the_cell_and_in_its_threads(self) -> None:
        for panic in (PANIC, THREAD):
            [failure] = scan.failures([*FINE, panic])
            self.assertIn("there is nothing here", failure)

    def test_a_panic_is_seen_wherever_it_is_printed(self) -> None:
        self.assertEqual(len(scan.failures([stream("stdout", "thread 'main' panicked at src/x.rs:1:1")])), 1)
        self.assertEqual(len(scan.failures([result(text_plain="panicked at src/x.rs:1:1")])), 1)

    def test_an_error_passed_up_is_seen(self) -> None:
        [failure] = scan.failures([QUESTION_MARK])
        self.assertIn("invalid digit found in string", failure)

    def test_a_compile_error_is_seen_without_its_colours(self) -> None:
        [failure] = scan.failures([COMPILE])
        self.assertNotIn("\x1b", failure)
        self.assertIn("error[E0308]: mismatched types", failure)

    def test_texts_may_be_lists_of_lines_as_in_files(self) -> None:
        said = {**THREAD, "text": THREAD["text"].splitlines(keepends=True)}
        self.assertEqual(scan.failures([said]), [THREAD["text"].strip()])


class Problems(unittest.TestCase):
    def test_without_expectations_a_failure_is_a_problem(self) -> None:
        self.assertEqual(scan.problems(FINE, {}), [])
        self.assertEqual(len(scan.problems([QUESTION_MARK], {})), 1)

    def test_an_expected_text_may_stand_in_any_output(self) -> None:
        for text in ("[10.0, 20.0]", "loss 0.43", "0.79"):
            self.assertEqual(scan.problems(FINE, {"expect": text}), [])

    def test_a_missing_text_is_a_problem_that_shows_what_there_was(self) -> None:
        [problem] = scan.problems(FINE, {"expect": "[12.0, 23.0]"})
        self.assertIn("expected '[12.0, 23.0]'", problem)
        self.assertIn("[10.0, 20.0]", problem)
        [problem] = scan.problems([], {"expect": "something"})
        self.assertIn("(nothing)", problem)

    def test_a_failure_is_a_problem_even_where_the_text_is_found(self) -> None:
        self.assertEqual(len(scan.problems([*FINE, PANIC], {"expect": "[10.0, 20.0]"})), 1)

    def test_an_expected_failure_is_none(self) -> None:
        self.assertEqual(scan.problems([PANIC], {"expect_error": "there is nothing here"}), [])
        self.assertEqual(scan.problems([QUESTION_MARK], {"expect_error": "invalid digit"}), [])
        self.assertEqual(scan.problems([COMPILE], {"expect_error": "mismatched types"}), [])

    def test_a_cell_that_should_fail_must(self) -> None:
        [problem] = scan.problems(FINE, {"expect_error": "mismatched types"})
        self.assertIn("did not fail", problem)

    def test_another_failure_than_the_expected_one_is_a_problem(self) -> None:
        [problem] = scan.problems([PANIC], {"expect_error": "mismatched types"})
        self.assertIn("but failed with:", problem)
        self.assertIn("there is nothing here", problem)

    def test_the_expected_failure_must_be_a_failure_and_not_a_mention(self) -> None:
        printed = stream("stdout", "mismatched types\n")
        self.assertEqual(len(scan.problems([printed], {"expect_error": "mismatched types"})), 1)


class Line(unittest.TestCase):
    def test_a_compile_error_and_a_panic_name_the_line_of_the_cell(self) -> None:
        for failed in (COMPILE, PANIC):
            self.assertEqual(scan.line(scan.failures([failed])[0]), 2)

    def test_other_failures_do_not(self) -> None:
        self.assertIsNone(scan.line(scan.failures([QUESTION_MARK])[0]))


if __name__ == "__main__":
    unittest.main()
