//! The rows of a request, each with its answer or its failure.

use super::queue::Computed;
use crate::failure::Failure;
use crate::models::servable::Row;

/// A value for each row, or why it has none.
pub(crate) type Each<T> = Vec<Result<T, Failure>>;

/// The rows that could be read, in order.
pub(crate) fn readable(rows: &Each<Row>) -> Vec<Row> {
    rows.iter().filter_map(|row| row.as_ref().ok().cloned()).collect()
}

/// The result of each row, given the outcomes of those that could be read.
pub(crate) fn in_place<T>(rows: Each<Row>, outcome: Each<T>) -> Each<T> {
    let mut outcome = outcome.into_iter();
    let missing = || Err(Failure::internal("the model left a row out"));
    rows.into_iter().map(|row| row.and_then(|_| outcome.next().unwrap_or_else(missing))).collect()
}

/// The rows or, if none has an answer, the failure of the whole request. If all rows fail alike, the rows are not
/// the cause.
pub(crate) fn unless_all_fail<T>(rows: Each<T>) -> Result<Each<T>, Failure> {
    const NAMED: usize = 3;
    if rows.is_empty() || rows.iter().any(Result::is_ok) {
        return Ok(rows);
    }
    let failures: Vec<Failure> = rows.into_iter().filter_map(Result::err).collect();
    let first = &failures[0];
    if failures.iter().all(|failure| failure.message() == first.message()) {
        return Err(first.clone());
    }
    let named = failures.iter().enumerate().take(NAMED);
    let named: Vec<String> = named.map(|(row, failure)| format!("row {row}: {}", failure.message())).collect();
    let more = if failures.len() > NAMED { format!("; and {} more", failures.len() - NAMED) } else { String::new() };
    let count = failures.len();
    Err(first.clone().saying(format!("none of the {count} rows can be answered: {}{more}", named.join("; "))))
}

impl Computed {
    /// Appends the results of more rows.
    pub(crate) fn append(&mut self, other: Computed) {
        match (self, other) {
            (Computed::Predictions(rows), Computed::Predictions(more)) => rows.extend(more),
            (Computed::Explanations(rows), Computed::Explanations(more)) => rows.extend(more),
            // Cannot happen: the same work gives the same kind.
            (Computed::Predictions(_), Computed::Explanations(_))
            | (Computed::Explanations(_), Computed::Predictions(_)) => {}
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Computed::Predictions(rows) => rows.len(),
            Computed::Explanations(rows) => rows.len(),
        }
    }

    pub(crate) fn take_first(&mut self, count: usize) -> Self {
        match self {
            Computed::Predictions(rows) => Computed::Predictions(rows.drain(..count).collect()),
            Computed::Explanations(rows) => Computed::Explanations(rows.drain(..count).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(message: &str) -> Failure {
        Failure::bad_request(message)
    }

    #[test]
    fn outcomes_go_to_the_rows_that_could_be_read() {
        let row = || Row::Features { values: vec![1.], warnings: Vec::new() };
        let rows = vec![Ok(row()), Err(failure("bad")), Ok(row())];
        assert_eq!(readable(&rows).len(), 2);
        let placed = in_place(rows, vec![Ok(1), Err(failure("worse"))]);
        let shown: Vec<Result<i32, &str>> =
            placed.iter().map(|row| row.as_ref().copied().map_err(Failure::message)).collect();
        assert_eq!(shown, [Ok(1), Err("bad"), Err("worse")]);
    }

    #[test]
    fn a_request_fails_where_all_of_its_rows_do() {
        let message = |rows: Each<()>| unless_all_fail(rows).map(|_| ()).map_err(|f| f.message().to_string());
        assert_eq!(message(vec![Err(failure("a")), Ok(())]), Ok(()));
        assert_eq!(message(vec![Err(failure("a"))]), Err("a".into()));
        assert_eq!(message(vec![Err(failure("a")), Err(failure("a"))]), Err("a".into()));
        let several = ["a", "b", "c", "d", "e"].map(|text| Err(failure(text)));
        let told = "none of the 5 rows can be answered: row 0: a; row 1: b; row 2: c; and 2 more";
        assert_eq!(message(several.to_vec()), Err(told.into()));
    }
}
