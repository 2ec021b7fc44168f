//! Listings that come a page at a time, newest first.

use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;

/// Most rows of a page.
pub(crate) const PAGE_ROWS_MAX: usize = 1_000;
/// Most pages of a listing: more than a control plane keeps.
const PAGES_MAX: usize = 200;

/// The newest rows, at most `rows_max`; everything that is kept where there is no such limit.
///
/// # Errors
/// As of [`Client::get`]; an answer that is no listing.
pub(crate) async fn newest(
    client: &Client,
    path: &str,
    state: Option<&str>,
    rows_max: Option<usize>,
) -> Result<Vec<Value>, Failure> {
    let limit = rows_max.unwrap_or(PAGE_ROWS_MAX).min(PAGE_ROWS_MAX);
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let mut address = format!("{path}?limit={limit}");
        if let Some(state) = state {
            address.push_str(&format!("&state={state}"));
        }
        if let Some(last) = all.last() {
            address.push_str(&format!("&after={}", id(last)?));
        }
        let Value::Array(page) = client.get(&address).await? else {
            return Err(Failure::failed("the answer is no listing"));
        };
        let is_last = page.len() < limit;
        all.extend(page);
        if is_last || rows_max.is_some() {
            break;
        }
    }
    Ok(all)
}

/// The id of a row, which must not change the address that it is put into.
fn id(row: &Value) -> Result<&str, Failure> {
    let plain = |id: &&str| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let id = row.get("id").and_then(Value::as_str).filter(plain);
    id.ok_or_else(|| Failure::failed("a row of the listing has no id"))
}
