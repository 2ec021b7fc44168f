//! What channels are told: made here, delivered by the server. No text of a prompt is in it.

use penstock_config::documents::NotificationEvent;
use serde::Serialize;

use crate::approvals::{Approval, ShownState, Summary};
use crate::draft::Draft;
use crate::grants::Grant;

/// One thing that reviewers and systems hear of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notification {
    /// What happened.
    pub event: NotificationEvent,
    /// Names it: told again, it is the same.
    pub id: String,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Id of the approval.
    pub approval: String,
    /// Where people look at it.
    pub url: String,
    /// The approval's state as it is shown.
    pub state: ShownState,
    /// Id of the grant that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// What must be shown to decide.
    pub summary: Summary,
}

impl Draft {
    /// Tells channels about an approval as it is now.
    pub(crate) fn notify(
        &mut self,
        event: NotificationEvent,
        approval: &Approval,
        grant: Option<&Grant>,
    ) {
        let state = self.state.shown_state(approval);
        let name = match event {
            NotificationEvent::ApprovalRequested => "requested",
            NotificationEvent::ApprovalEnded => "ended",
            NotificationEvent::BreakGlassUsed => "break-glass",
            NotificationEvent::BreakGlassUnjustified => "unjustified",
            NotificationEvent::GrantEnded => "grant-ended",
        };
        let notification = Notification {
            event,
            id: format!("{}-{name}", approval.id),
            at_ms: self.now_ms(),
            approval: approval.id.clone(),
            url: self.state.approval_url(&approval.id),
            state,
            grant: grant.map(|grant| grant.id.clone()),
            summary: approval.summary(),
        };
        self.notifications.push(notification);
    }
}
