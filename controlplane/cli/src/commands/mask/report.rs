//! What came of a trial: a value for programs, and a page for people.

use std::collections::BTreeMap;

use penstock_config::documents::Mask;
use penstock_mask::catalogue;
use serde_json::{Value, json};

use super::costs;
use super::document::Tried;
use super::written;
use crate::output::{self, Column};

/// All of it.
pub(super) fn of(tried: &Tried<'_>, text: &str, show_values: bool) -> Value {
    let mut places = Places::of(text);
    let mut totals: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows = Vec::new();
    let findings = tried.findings(text);
    let written = written::each(tried, &findings, text);
    for (finding, written) in findings.iter().zip(written) {
        let (line, column) = places.at(finding.range.start);
        let value = text.get(finding.range.clone()).unwrap_or_default();
        let mut row = json!({
            "line": line,
            "column": column,
            "detector": &*finding.detector,
            "written": written,
        });
        if let (true, Some(map)) = (show_values, row.as_object_mut()) {
            map.insert("value".to_owned(), value.into());
        }
        rows.push(row);
        *totals.entry(finding.detector.to_string()).or_default() += 1;
    }
    let totals: Vec<Value> = totals
        .into_iter()
        .map(|(detector, count)| {
            let why = why(tried.mask, &detector);
            json!({"detector": detector, "count": count, "why": why})
        })
        .collect();
    json!({
        "mask": tried.mask.name,
        "findings": rows,
        "totals": totals,
        "costs": costs::of(&tried.masking, text),
        "warnings": tried.masking.profile.warnings(),
        "notes": tried.notes(),
    })
}

/// What a detector looks for.
fn why(mask: &Mask, detector: &str) -> String {
    if let Some(own) = mask.patterns.iter().find(|own| own.name == detector) {
        return format!("pattern of the mask: {}", own.regex);
    }
    if mask.words.iter().any(|own| own.name == detector) {
        return "word list of the mask".to_owned();
    }
    let known = catalogue::catalogue().iter().find(|known| known.name == detector);
    known.map(|known| known.about.to_owned()).unwrap_or_default()
}

/// The page for people.
pub(super) fn story(report: &Value) -> String {
    const FINDINGS: &[Column] = &[
        ("PLACE", |row| format!("{}:{}", output::cell(row, "line"), output::cell(row, "column"))),
        ("DETECTOR", |row| output::cell(row, "detector")),
        ("WRITTEN", |row| output::cell(row, "written")),
    ];
    const WITH_VALUES: &[Column] =
        &[FINDINGS[0], FINDINGS[1], FINDINGS[2], ("VALUE", |row| output::cell(row, "value"))];
    const TOTALS: &[Column] = &[
        ("DETECTOR", |row| output::cell(row, "detector")),
        ("COUNT", |row| output::cell(row, "count")),
        ("WHY", |row| output::cell(row, "why")),
    ];
    let mut out = String::new();
    if is_empty(&report["findings"]) {
        out.push_str("nothing would be masked\n");
    } else {
        let has_values = report["findings"][0].get("value").is_some();
        let columns = if has_values { WITH_VALUES } else { FINDINGS };
        out.push_str(&output::table(&report["findings"], columns));
        out.push('\n');
        out.push_str(&output::table(&report["totals"], TOTALS));
    }
    out.push('\n');
    out.push_str(&costs_story(&report["costs"]));
    for (title, list) in [("warning", &report["warnings"]), ("note", &report["notes"])] {
        for line in list.as_array().into_iter().flatten().filter_map(Value::as_str) {
            out.push_str(&format!("{title}: {}\n", output::printable(line, false)));
        }
    }
    out
}

fn costs_story(costs: &Value) -> String {
    let cell = |field| output::printable(&output::cell(costs, field), false);
    if costs.is_null() {
        return "the text is empty: there is nothing to measure\n".to_owned();
    }
    let share = costs["pieces_at_once_share"].as_f64().unwrap_or(0.0) * 100.0;
    format!(
        "held      {} characters in the mean, p99 {}, most {}, in pieces of {}\n\
         at once   {share:.0} % of the pieces leave whole\n\
         speed     {} MB/s on one core, by {}\n",
        cell("held_characters_mean"),
        cell("held_characters_p99"),
        cell("held_characters_max"),
        cell("piece_characters"),
        cell("megabytes_per_second"),
        cell("engine"),
    )
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}

/// Lines and columns of bytes of a text that are asked for in order.
struct Places<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'t> Places<'t> {
    fn of(text: &'t str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    /// Both counted from 1, the column in characters.
    fn at(&mut self, byte: usize) -> (usize, usize) {
        for c in self.text.get(self.at..byte).unwrap_or_default().chars() {
            (self.line, self.column) =
                if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.at = byte;
        (self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_characters_from_one() {
        let mut places = Places::of("\u{e9}ab\ncd\n");
        assert_eq!([0, 2, 5, 8].map(|byte| places.at(byte)), [(1, 1), (1, 2), (2, 1), (3, 1)]);
    }

    #[test]
    fn a_page_shows_values_only_where_the_report_has_them() {
        let report = |finding: Value| {
            json!({"findings": [finding], "costs": null,
                "totals": [{"detector": "US_SSN", "count": 1, "why": "numbers"}]})
        };
        let row = json!({"line": 1, "column": 5, "detector": "US_SSN", "written": "[US_SSN]"});
        let page = story(&report(row.clone()));
        assert!(
            page.starts_with("PLACE  DETECTOR  WRITTEN\n1:5    US_SSN    [US_SSN]\n"),
            "{page}"
        );
        let mut with_value = row;
        with_value["value"] = "123-45-6789".into();
        let page = story(&report(with_value));
        assert!(page.contains("[US_SSN]  123-45-6789\n"), "{page}");
    }
}
