//! The table of token attacks has 37 rows: each is a test somewhere, named `row_NN_…`.

use crate::rows::{sources, tests};

#[test]
fn each_row_of_token_attacks_is_a_test() {
    let all: Vec<String> = sources("").iter().flat_map(|text| tests(text)).collect();
    let missing: Vec<String> = (1..=37)
        .map(|row| format!("row_{row:02}_"))
        .filter(|prefix| !all.iter().any(|name| name.starts_with(prefix)))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    let beyond = all.iter().filter(|name| name.starts_with("row_"));
    for name in beyond {
        let row = name.split('_').nth(1).and_then(|digits| digits.parse::<u8>().ok());
        assert!(row.is_some_and(|row| (1..=37).contains(&row)), "{name}");
    }
}
