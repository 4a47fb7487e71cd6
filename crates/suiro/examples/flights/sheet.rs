//! CSV files, plain or compressed, with errors that name file, line and column.

use flate2::read::MultiGzDecoder;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use suiro::{Error, Policy, Result};

/// A CSV file with a line of headers.
pub struct Sheet {
    path: PathBuf,
    headers: csv::StringRecord,
    reader: csv::Reader<Box<dyn Read>>,
}

/// A column of a sheet.
#[derive(Clone, Copy)]
pub struct Column(usize);

/// A row of a sheet.
pub struct Row<'a> {
    path: &'a Path,
    headers: &'a csv::StringRecord,
    fields: &'a csv::StringRecord,
}

/// The rows that could be read, and how many could not.
pub struct Rows<T> {
    pub rows: Vec<T>,
    pub skipped: u64,
}

impl Sheet {
    /// Opens `<name>.csv.gz` or `<name>.csv` in `dir`.
    pub fn open(dir: &Path, name: &str) -> Result<Self> {
        let packed = dir.join(format!("{name}.csv.gz"));
        let plain = dir.join(format!("{name}.csv"));
        let (path, file) = match open(&packed)? {
            Some(file) => (packed, Box::new(MultiGzDecoder::new(file)) as Box<dyn Read>),
            None => match open(&plain)? {
                Some(file) => (plain, Box::new(file) as Box<dyn Read>),
                None => {
                    let text = "file is missing; name the directory that holds it with --data";
                    return Err(Error::invalid(text).with("file", packed.display()));
                }
            },
        };
        let mut reader = csv::Reader::from_reader(file);
        let headers = reader.headers().map_err(|error| unreadable(&path, 1, error))?.clone();
        Ok(Self { path, headers, reader })
    }

    /// The columns with these names.
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[Column; N]> {
        let mut columns = [Column(0); N];
        for (column, name) in columns.iter_mut().zip(names) {
            let found = self.headers.iter().position(|header| header == name);
            let found = found.ok_or_else(|| {
                Error::invalid("column is missing; its name belongs in the first line")
                    .with("file", self.path.display())
                    .with("column", name)
                    .with("columns", self.headers.iter().collect::<Vec<_>>().join(","))
            })?;
            *column = Column(found);
        }
        Ok(columns)
    }

    /// Reads all rows. A row that `parse` refuses meets the policy.
    pub fn read<T>(
        mut self,
        on_error: Policy,
        parse: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Rows<T>> {
        let (mut rows, mut skipped) = (Vec::new(), 0);
        let mut fields = csv::StringRecord::new();
        while self.next(&mut fields)? {
            let row = Row { path: &self.path, headers: &self.headers, fields: &fields };
            match parse(&row) {
                Ok(row) => rows.push(row),
                Err(_) if on_error == Policy::Skip => skipped += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(Rows { rows, skipped })
    }

    fn next(&mut self, fields: &mut csv::StringRecord) -> Result<bool> {
        let read = self.reader.read_record(fields);
        let line = self.reader.position().line();
        read.map_err(|error| unreadable(&self.path, line, error))
    }
}

impl Row<'_> {
    /// The field as it stands.
    pub fn text(&self, column: Column) -> String {
        self.fields[column.0].to_owned()
    }

    /// The field as `read` reads it.
    pub fn read<T>(
        &self,
        column: Column,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        read(&self.fields[column.0]).ok_or_else(|| self.refuse(column, wanted))
    }

    /// The field as a number.
    pub fn number<T: FromStr>(&self, column: Column) -> Result<T> {
        self.read(column, "a whole number", |text| text.parse().ok())
    }

    /// The field as text or a number, or nothing for `NA`.
    pub fn known<T: FromStr>(&self, column: Column) -> Result<Option<T>> {
        match &self.fields[column.0] {
            "NA" => Ok(None),
            _ => self.number(column).map(Some),
        }
    }

    /// The field in hundredths, rounded, or nothing for `NA`.
    pub fn hundredths(&self, column: Column) -> Result<Option<i64>> {
        self.read(column, "a number", |text| match text {
            "NA" => Some(None),
            _ => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
                Some(Some((number * 100.0).round() as i64))
            }
        })
    }

    /// The error that a field is not what it should be.
    pub fn refuse(&self, column: Column, wanted: impl Display) -> Error {
        let line = self.fields.position().map_or(0, csv::Position::line);
        Error::invalid(format!(
            "not {wanted}; mend the file, or skip such rows with --on-error skip"
        ))
        .with("file", self.path.display())
        .with("line", line)
        .with("column", &self.headers[column.0])
        .with("found", &self.fields[column.0])
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::unavailable("cannot open file")
            .with("file", path.display())
            .caused_by(error)),
    }
}

fn unreadable(path: &Path, line: u64, error: csv::Error) -> Error {
    let text = if error.is_io_error() {
        "file is damaged or cut short; copy it anew"
    } else {
        "line is not as the first line says; mend the file"
    };
    Error::invalid(text).with("file", path.display()).with("line", line).caused_by(error)
}
