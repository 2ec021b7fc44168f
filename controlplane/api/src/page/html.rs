//! What stands on the page. Every text that is not the program's own is escaped, in one place.

use penstock_app::approvals::{ShownState, Summary};

/// An approval for somebody who signed in.
pub(super) struct Shown<'a> {
    pub(super) id: &'a str,
    /// Who signed in.
    pub(super) user: &'a str,
    pub(super) state: ShownState,
    pub(super) summary: &'a Summary,
    /// The key that the link brought; empty where it brought none.
    pub(super) key: &'a str,
    /// The token, for the click that follows.
    pub(super) token: &'a str,
    /// What leads from the page's own address to those of approvals.
    pub(super) base: &'a str,
}

/// Something in one sentence.
pub(crate) enum Notice {
    NoForm,
    NoToken,
    TooOften,
    Unknown,
    NoReason,
    NoKey,
    Unavailable,
    NoProvider,
    NotSignedIn,
    Counted,
    Ended(ShownState),
    Refused(String),
}

/// Around everything.
fn document(body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>Penstock: an approval</title>\n\
         {body}</html>\n"
    )
}

/// How to sign in, and how to answer elsewhere.
pub(super) fn welcome(id: &str, key: &str, has_sign_in: bool) -> String {
    let (id, key) = (escaped(id), escaped(key));
    let provider = if has_sign_in {
        format!("<p><a href=\"../sign-in?approval={id}&amp;key={key}\">Sign in</a>, or:</p>\n")
    } else {
        String::new()
    };
    // The action is beside this page, whatever its address begins with, and leaves the key out.
    document(&format!(
        "<h1>A request waits for an answer</h1>
{provider}<form method=\"post\" action=\"{id}\">
<p><label>A token of yours for the audience penstock-api, as your identity provider or
<code>penstock token</code> gives it:<br>
<input type=\"password\" name=\"token\" autocomplete=\"off\" required size=\"60\"></label></p>
<input type=\"hidden\" name=\"key\" value=\"{key}\">
<p><button>See what is asked for</button></p>
</form>
<p>Nothing is decided by looking. Reviewers can answer in a terminal as well, where they are signed
in:</p>
<pre>
penstock approvals list
penstock approve {id}
penstock deny {id} --reason \"why not\"
</pre>
<p>Whoever asked has nothing to do here: where the request waits, it goes on by itself once it is
approved; where it was answered <code>approval_pending</code>, send it again.</p>
"
    ))
}

/// What is asked for, with the buttons where they can be used.
pub(super) fn asked(shown: &Shown<'_>) -> String {
    let Shown { id, user, state, summary, key, token, base } = *shown;
    let rows: String = summary
        .rows
        .iter()
        .map(|row| {
            format!("<tr><th>{}</th><td>{}</td></tr>\n", escaped(row.name), escaped(&row.value))
        })
        .collect();
    let (id, user) = (escaped(id), escaped(user));
    let buttons = match state {
        ShownState::Pending if key.is_empty() => format!(
            "<p>This link brought no key, so nobody answers with it: use the one in a mail, or \
             <code>penstock approve {id}</code>.</p>\n"
        ),
        ShownState::Pending => buttons(base, &id, key, token),
        ShownState::Approved
        | ShownState::Active
        | ShownState::Denied
        | ShownState::Spent
        | ShownState::Expired
        | ShownState::Withdrawn
        | ShownState::Revoked => "<p>There is nothing left to answer.</p>\n".to_owned(),
    };
    let title = escaped(&summary.title);
    document(&format!(
        "<h1>{title}</h1>\n<p>Approval {id}: {state}. You are signed in as {user}.</p>\n\
         <table>\n{rows}</table>\n{buttons}"
    ))
}

/// Two forms: a button answers only what stands on it.
fn buttons(base: &str, id: &str, key: &str, token: &str) -> String {
    let hidden = format!(
        "<input type=\"hidden\" name=\"token\" value=\"{}\">\n\
         <input type=\"hidden\" name=\"key\" value=\"{}\">",
        escaped(token),
        escaped(key)
    );
    format!(
        "<form method=\"post\" action=\"{base}{id}\">\n{hidden}
<p>Approving lets through what is asked for above, and nothing else. To give more, within the
rule: <code>penstock approve {id} --minutes N --uses N</code>.</p>
<p><button name=\"answer\" value=\"approve\">Approve</button></p>
</form>
<form method=\"post\" action=\"{base}{id}\">\n{hidden}
<p><label>Why not (whoever asked reads it):<br>
<input name=\"reason\" maxlength=\"1000\" required size=\"60\"></label></p>
<p><button name=\"answer\" value=\"deny\">Deny</button></p>
</form>
"
    )
}

/// A sentence.
pub(super) fn notice(notice: &Notice) -> String {
    let text = match notice {
        Notice::NoForm => "This is not the form of this page: open the link once more.".to_owned(),
        Notice::NoToken => {
            "This token does not hold: it must be one of yours, not expired, for the \
            audience penstock-api. Nothing was decided, and the link can be used."
                .to_owned()
        }
        Notice::TooOften => "Too many tries that do not hold came from your address. Wait for a \
            minute."
            .to_owned(),
        Notice::Unknown => "There is no such approval for you.".to_owned(),
        Notice::NoReason => "A denial needs a reason of at most 1024 bytes.".to_owned(),
        Notice::NoKey => {
            "This link can't be used to answer: it was used, it is older than an hour, \
            or it is for another approval. Answer in a terminal: penstock approve, penstock deny."
                .to_owned()
        }
        Notice::Unavailable => "The store is not available. Nothing was decided.".to_owned(),
        Notice::NoProvider => {
            "Your identity provider can't be asked now. Open the link once more in \
            a while, or sign in with a token."
                .to_owned()
        }
        Notice::NotSignedIn => "Nobody signed in: it took too long, began in another browser, or \
            your identity provider said no. Nothing was decided: open the link once more."
            .to_owned(),
        Notice::Counted => "Your answer counts. You can close this page.".to_owned(),
        Notice::Ended(state) => format!("Nothing was changed: it is {state} already."),
        Notice::Refused(why) => format!("Nothing was decided: {why}."),
    };
    document(&format!("<p>{}</p>\n", escaped(&text)))
}

/// Text that is no markup, in an element as in an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_never_markup() {
        assert_eq!(
            escaped("<a href=\"x\" o='y'>&"),
            "&lt;a href=&quot;x&quot; o=&#39;y&#39;&gt;&amp;"
        );
        let refused = notice(&Notice::Refused("<script>".into()));
        assert!(!refused.contains("<script>"));
    }

    #[test]
    fn a_page_without_a_key_has_no_button_that_answers() {
        let text = welcome("apr-1", "", true);
        assert!(!text.contains("approve\""));
    }
}
