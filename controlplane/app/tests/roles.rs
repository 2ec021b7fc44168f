//! The role matrix, cell by cell.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails a test like the test itself")]

mod common;

use common::{FIRST_RUN, World, admin, identity, requester};
use penstock_app::roles::allows;
use penstock_app::{Action, Requester, authorise, roles_of};
use penstock_config::documents::RoleName;

/// Rows: actions in the order of `Action::ALL`. Columns: admin, operator, auditor, approver, user.
const MATRIX: [(&str, [bool; 5]); 18] = [
    ("read documents", [true, true, true, true, false]),
    ("write connections and rules", [true, true, false, false, false]),
    ("write issuers and roles", [true, false, false, false, false]),
    ("list secrets", [true, true, true, false, false]),
    ("set or delete secrets", [true, true, false, false, false]),
    ("explain a decision", [true, true, true, true, true]),
    ("explain a decision about somebody else", [true, true, true, true, false]),
    ("read nodes", [true, true, true, true, false]),
    ("issue join files", [true, false, false, false, false]),
    ("remove nodes", [true, false, false, false, false]),
    ("read acts", [true, false, true, false, false]),
    ("see all approvals and grants", [true, true, true, true, false]),
    ("see all sessions", [true, true, true, true, false]),
    ("revoke grants of others", [true, true, false, false, false]),
    ("revoke identities and tokens", [true, false, false, false, false]),
    ("kill sessions", [true, true, false, false, false]),
    ("read what channels were told", [true, true, true, false, false]),
    ("tell channels again", [true, true, false, false, false]),
];

const ROLES: [RoleName; 5] =
    [RoleName::Admin, RoleName::Operator, RoleName::Auditor, RoleName::Approver, RoleName::User];

#[test]
fn each_role_may_do_exactly_what_the_matrix_says() {
    for (action, (name, row)) in Action::ALL.into_iter().zip(MATRIX) {
        assert_eq!(action.to_string(), name);
        for (role, expected) in ROLES.into_iter().zip(row) {
            assert_eq!(allows(role, action), expected, "{role:?} {name}");
        }
    }
}

#[test]
fn roles_come_from_role_documents_and_add_up() {
    let mut world = World::new();
    let more = "kind: role\nname: auditors\nrole: auditor\nsubjects: [{users: [otto]}]\n";
    world.apply(admin(), more).unwrap();
    let otto = identity("otto", &["operators"]);
    assert_eq!(roles_of(&world.state, &otto), [RoleName::Auditor, RoleName::Operator]);
    assert!(roles_of(&world.state, &identity("eve", &[])).is_empty());
}

#[test]
fn who_has_no_role_may_do_nothing() {
    let world = World::new();
    for action in Action::ALL {
        assert!(authorise(&world.state, &requester("eve", &["engineers"]), action).is_err());
        assert!(authorise(&world.state, &Requester::System, action).is_ok());
    }
}

#[test]
fn an_issuer_that_is_not_in_force_vouches_for_nobody() {
    let world = World::new();
    let mut ada = identity("ada", &["admins"]);
    assert_eq!(roles_of(&world.state, &ada), [RoleName::Admin]);
    ada.issuer = "gone".into();
    assert!(roles_of(&world.state, &ada).is_empty());
    assert!(FIRST_RUN.contains("name: dev"));
}
