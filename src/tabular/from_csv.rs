//! A table of one's own: features and labels from a CSV file.

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::Dataset;
use crate::error::{Result, bail, error};
use crate::file;

/// The most categories that a column of texts may have: each becomes a feature.
const CATEGORIES: usize = 30;
/// The most classes, so that a column of measurements is not taken for labels.
const CLASSES: usize = 100;

impl Dataset {
    /// Reads a CSV file in UTF-8 with a header: a feature for each column, but for `label`, which has each row's class.
    ///
    /// * A column of numbers is a feature of its name. Where a cell is empty, it gets the mean of the others.
    /// * A column of texts is a feature for each of its at most 30 categories, in the order of the alphabet, named
    ///   `column=category`: 1 where a row has that category, else 0. An empty cell has 0 in all of them.
    /// * Labels that are whole numbers from 0 on are the classes. Other labels are numbered in the order of the alphabet.
    ///
    /// Leave out columns that say nothing, such as names, with [`from_csv_without`](Self::from_csv_without).
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// # let folder = std::env::temp_dir().join(format!("candle-explain-csv-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # let path = folder.join("flowers.csv");
    /// std::fs::write(&path, "length,colour,kind\n5.1,blue,iris\n,red,rose\n4.7,red,rose\n").unwrap();
    /// let flowers = Dataset::from_csv(&path, "kind")?;
    /// assert_eq!(flowers.feature_names(), ["length", "colour=blue", "colour=red"]);
    /// assert_eq!(flowers.column("length")?.values()[1], 4.9f32 as f64);
    /// assert_eq!(flowers.labels(), [0, 1, 1]);
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_csv(path: impl AsRef<Path>, label: &str) -> Result<Self> {
        Self::from_csv_without(path, label, [""; 0])
    }

    /// The same without some of the columns.
    pub fn from_csv_without(
        path: impl AsRef<Path>,
        label: &str,
        without: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let without: Vec<String> = without.into_iter().map(Into::into).collect();
        let read = || parse(&file::read_text(path)?, label, &without);
        read().map_err(|e| e.at(path.display()))
    }
}

/// A column of the file, its cells trimmed.
struct Column<'a> {
    name: &'a str,
    cells: Vec<&'a str>,
}

fn parse(text: &str, label: &str, without: &[String]) -> Result<Dataset> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heads = reader.headers().map_err(|e| error!(File, "the header cannot be read: {e}"))?.clone();
    let rows: Vec<csv::StringRecord> =
        reader.records().collect::<std::result::Result<_, _>>().map_err(|e| error!(File, "{e}"))?;
    if rows.is_empty() {
        bail!(File, "there are no rows below the header")
    }
    let columns: Vec<Column> = heads
        .iter()
        .enumerate()
        .map(|(index, name)| Column { name: name.trim(), cells: rows.iter().map(|row| row[index].trim()).collect() })
        .collect();
    for name in without.iter().map(String::as_str).chain([label]) {
        match columns.iter().filter(|column| column.name == name).count() {
            1 => {}
            0 => bail!(
                File,
                "there is no column \"{name}\"; the header has: {}",
                heads.iter().collect::<Vec<_>>().join(", ")
            ),
            count => bail!(File, "{count} columns are called \"{name}\": give each a name of its own"),
        }
    }
    let mut features = Vec::new();
    let mut labels = Vec::new();
    for column in columns.iter().filter(|column| !without.iter().any(|name| name == column.name)) {
        match column.name == label {
            true => labels = column.classes()?,
            false => features.extend(column.features()?),
        }
    }
    if features.is_empty() {
        bail!(File, "there is no column besides the label \"{label}\": expected at least one feature")
    }
    let width = features.len();
    let (names, values): (Vec<String>, Vec<Vec<f32>>) = features.into_iter().unzip();
    let flat: Vec<f32> = (0..labels.len()).flat_map(|row| values.iter().map(move |column| column[row])).collect();
    Dataset::new(Tensor::from_vec(flat, (labels.len(), width), &Device::Cpu)?, names, labels)
}

impl Column<'_> {
    /// The line of a row in the file, where no cell has a line break.
    fn line(row: usize) -> usize {
        row + 2
    }

    fn features(&self) -> Result<Vec<(String, Vec<f32>)>> {
        let texts: BTreeSet<&str> = self.cells.iter().copied().filter(|cell| !cell.is_empty()).collect();
        if texts.is_empty() {
            bail!(File, "column \"{}\" is empty: leave it out with Dataset::from_csv_without", self.name)
        }
        let numbers: Vec<Option<f64>> = self.cells.iter().map(|cell| cell.parse().ok()).collect();
        let count = numbers.iter().flatten().count();
        if texts.iter().all(|text| text.parse::<f64>().is_ok()) {
            return Ok(vec![(self.name.to_string(), self.filled(&numbers)?)]);
        }
        if texts.len() > CATEGORIES {
            let odd = self.cells.iter().zip(&numbers).position(|(cell, number)| !cell.is_empty() && number.is_none());
            let odd = odd.unwrap_or_default();
            let (line, cell) = (Self::line(odd), self.cells[odd]);
            if 2 * count > self.cells.len() {
                bail!(File, "line {line}: column \"{}\" is \"{cell}\", where most cells are numbers", self.name)
            }
            bail!(
                File,
                "column \"{}\" has {} different texts, for example \"{cell}\": expected numbers or at most {CATEGORIES} \
                 categories; leave it out with Dataset::from_csv_without",
                self.name,
                texts.len()
            )
        }
        let category = |text: &&str| {
            let is = |cell: &&str| if cell == text { 1. } else { 0. };
            (format!("{}={text}", self.name), self.cells.iter().map(is).collect())
        };
        Ok(texts.iter().map(category).collect())
    }

    /// The numbers, with the mean of all in empty cells.
    fn filled(&self, numbers: &[Option<f64>]) -> Result<Vec<f32>> {
        if let Some(row) = numbers.iter().position(|number| number.is_some_and(|number| !(number as f32).is_finite())) {
            let (line, cell) = (Self::line(row), self.cells[row]);
            bail!(File, "line {line}: column \"{}\" is \"{cell}\", expected a finite number or nothing", self.name)
        }
        let known: Vec<f64> = numbers.iter().copied().flatten().collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        Ok(numbers.iter().map(|number| number.unwrap_or(mean) as f32).collect())
    }

    fn classes(&self) -> Result<Vec<u32>> {
        if let Some(row) = self.cells.iter().position(|cell| cell.is_empty()) {
            bail!(File, "line {}: the label \"{}\" is empty: expected a class in every row", Self::line(row), self.name)
        }
        let names: BTreeSet<&str> = self.cells.iter().copied().collect();
        if names.len() > CLASSES {
            bail!(
                File,
                "the label \"{}\" has {} different values: expected at most {CLASSES} classes; is it the right column?",
                self.name,
                names.len()
            )
        }
        let numbers: Vec<Option<u32>> = self.cells.iter().map(|cell| cell.parse().ok()).collect();
        if let Some(classes) = numbers.iter().copied().collect::<Option<Vec<u32>>>() {
            if let Some(row) = classes.iter().position(|class| *class as usize >= CLASSES) {
                let (line, class) = (Self::line(row), classes[row]);
                bail!(File, "line {line}: the label is {class}, expected classes from 0 to {}", CLASSES - 1)
            }
            return Ok(classes);
        }
        let number = |cell: &&str| names.iter().position(|name| name == cell).unwrap_or_default() as u32;
        Ok(self.cells.iter().map(number).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Dataset> {
        parse(text, "y", &["id".to_string()])
    }

    #[test]
    fn numbers_and_categories_become_features() {
        let data = parsed("\u{feff}id,a,b,y\n1,2.5,x,0\n2,,,2\n3, 3.5 ,z,1\n").unwrap();
        assert_eq!(data.feature_names(), ["a", "b=x", "b=z"]);
        let columns = ["a", "b=x", "b=z"].map(|name| data.column(name).unwrap().values().to_vec());
        assert_eq!(columns, [vec![2.5, 3., 3.5], vec![1., 0., 0.], vec![0., 0., 1.]]);
        assert_eq!(data.labels(), [0, 2, 1]);
    }

    #[test]
    fn labels_that_are_no_numbers_are_numbered_by_the_alphabet() {
        assert_eq!(parsed("id,a,y\n1,1,no\n2,2,yes\n3,3,maybe\n").unwrap().labels(), [1, 2, 0]);
        assert_eq!(parsed("id,a,y\n1,1,-1\n2,2,1\n").unwrap().labels(), [0, 1]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let many: String = (0..40).map(|row| format!("{row},name {row},0\n")).collect();
        let one_text: String = (0..40)
            .map(|row| format!("{row},{},0\n", if row == 7 { "n/a".to_string() } else { row.to_string() }))
            .collect();
        let values: String = (0..101).map(|row| format!("{row},1,{}.5\n", row)).collect();
        let cases = [
            ("", "no rows"),
            ("id,a,y\n", "no rows"),
            ("id,a\n1,2\n", "no column \"y\"; the header has: id, a"),
            ("id,y,y\n1,2,0\n", "2 columns are called \"y\""),
            ("id,y\n1,0\n", "no column besides the label"),
            ("id,a,y\n1,2\n", "found record with 2 fields"),
            ("id,a,y\n1,,0\n", "column \"a\" is empty"),
            ("id,a,y\n1,,0\n2,nan,0\n", "line 3: column \"a\" is \"nan\""),
            ("id,a,y\n1,inf,0\n", "line 2: column \"a\" is \"inf\""),
            ("id,a,y\n1,2,0\n2,3,\n", "line 3: the label \"y\" is empty"),
            ("id,a,y\n1,2,4711\n", "line 2: the label is 4711"),
            (&format!("id,a,y\n{many}"), "40 different texts, for example \"name 0\""),
            (&format!("id,a,y\n{one_text}"), "line 9: column \"a\" is \"n/a\", where most cells are numbers"),
            (&format!("id,a,y\n{values}"), "101 different values"),
        ];
        for (text, expected) in cases {
            let message = parsed(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }
}
