//! The log lines of one flow, read back from the files: found by their time, then by their trace id.

use crate::event::{TraceId, utc};
use std::{
    fs::File,
    io::{BufRead, BufReader, Result, Seek, SeekFrom},
    path::Path,
    time::Duration,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What is written a little earlier or later than it happened is found as well.
const MARGIN: Duration = Duration::from_secs(2);
/// More is not read for one flow.
const MOST_BYTES: u64 = 32 << 20;
const MOST_LINES: usize = 100;
/// Where halving a file stops.
const NEAR: u64 = 32 << 10;

/// The lines of `trace` that were written around `from_ms` to `to_ms`, in ms since 1970. What cannot be read
/// is not there: it has been rotated away, or the disk is.
pub(super) fn lines_of(dir: &Path, trace: TraceId, from_ms: u64, to_ms: u64) -> Vec<String> {
    let margin = u64::try_from(MARGIN.as_millis()).unwrap_or_default();
    let from = utc(from_ms.saturating_sub(margin));
    let to = utc(to_ms.saturating_add(margin));
    let mut days = vec![from.date()];
    if to.date() != from.date() {
        days.push(to.date());
    }
    let trace = trace.to_string();
    let mut lines = Vec::new();
    for day in days {
        // The name that the rolling appender gives its files.
        let path = dir.join(format!("combined.{day}.jsonl"));
        if let Ok(found) = search(&path, &trace, &second(from), &second(to)) {
            lines.extend(found);
        }
    }
    lines.truncate(MOST_LINES);
    lines
}

/// `2026-11-21T16:00:00`: log lines begin with more digits of the same.
fn second(at: OffsetDateTime) -> String {
    let text = at.format(&Rfc3339).unwrap_or_default();
    text.chars().take(19).collect()
}

/// The time of a line, up to its second.
fn time_of(line: &str) -> Option<&str> {
    line.strip_prefix("{\"ts\":\"")?.get(..19)
}

fn search(path: &Path, trace: &str, from: &str, to: &str) -> Result<Vec<String>> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut low, mut high) = (0, file.get_ref().metadata()?.len());
    let mut line = String::new();
    // Lines are in the order of time, but for some that overtook each other by less than the margin.
    while high - low > NEAR {
        let middle = low + (high - low) / 2;
        file.seek(SeekFrom::Start(middle))?;
        // What is left of the line that the middle is in, then a whole one.
        skip_line(&mut file)?;
        line.clear();
        file.read_line(&mut line)?;
        match time_of(&line) {
            Some(time) if time < from => low = middle,
            _ => high = middle,
        }
    }
    file.seek(SeekFrom::Start(low))?;
    if low > 0 {
        skip_line(&mut file)?;
    }
    let mut found = Vec::new();
    let mut read = 0;
    loop {
        line.clear();
        let length = file.read_line(&mut line)?;
        read += length as u64;
        let over = time_of(&line).is_some_and(|time| time > to);
        let early = time_of(&line).is_some_and(|time| time < from);
        if length == 0 || over || read > MOST_BYTES || found.len() == MOST_LINES {
            return Ok(found);
        }
        if !early && line.ends_with('\n') && line.contains(trace) {
            found.push(line.trim_end().to_owned());
        }
    }
}

fn skip_line(file: &mut BufReader<File>) -> Result<()> {
    let mut rest = Vec::new();
    file.read_until(b'\n', &mut rest)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn the_lines_of_a_flow_are_found_in_a_large_file_by_their_time() {
        let dir =
            std::env::temp_dir().join(format!("signalbox-reread-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&dir).unwrap();
        // Midnight lies in the middle.
        let start_ms = 1_763_769_600_000 - 20_000_000;
        let mut days = std::collections::BTreeMap::<String, String>::new();
        for n in 0..40_000_u64 {
            let at = utc(start_ms + n * 1000);
            let ts = at.format(&Rfc3339).unwrap();
            let file = days.entry(at.date().to_string()).or_default();
            let trace = TraceId(u128::from(n / 2) + 1);
            writeln!(
                file,
                "{{\"ts\":\"{ts}\",\"n\":{n},\"trace_id\":\"{trace}\"}}"
            )
            .unwrap();
        }
        assert_eq!(days.len(), 2);
        for (day, text) in &days {
            std::fs::write(dir.join(format!("combined.{day}.jsonl")), text).unwrap();
        }

        for n in [0_u64, 1, 9_999, 10_000, 10_001, 19_999] {
            let at = start_ms + n * 2000;
            let lines = lines_of(&dir, TraceId(u128::from(n) + 1), at, at + 1000);
            assert_eq!(lines.len(), 2, "{n}: {lines:?}");
        }
        assert!(lines_of(&dir, TraceId(1), start_ms + 60_000, start_ms + 61_000).is_empty());
        assert!(lines_of(&dir.join("gone"), TraceId(1), start_ms, start_ms).is_empty());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
