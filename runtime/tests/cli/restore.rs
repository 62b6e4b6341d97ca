//! Backup and restore: checked, whole or not at all, and nothing deleted comes back.

use serde_json::Value;

use crate::place::Place;

const QUIET: &str = "[server]\nsamples = false\n";
const VAULT: &str = "The vault of the northern branch opens at a quarter past six for the auditors of Quillfeather only.\n";

fn backed_up() -> Place {
    let place = Place::new();
    place.write("quoin.toml", QUIET);
    place.write("docs/vault.md", VAULT);
    place.write("docs/pumps.md", "A pump that hums is primed again.\n");
    place.run(&["ingest", "docs", "--acl", "public"]).ok();
    place.run(&["backup", "copy"]).ok();
    place
}

fn ids(place: &Place) -> Vec<String> {
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    let documents = listed["documents"].as_array().unwrap();
    let id = |document: &Value| document["id"].as_str().unwrap().to_owned();
    documents.iter().map(id).collect()
}

#[test]
fn a_restore_brings_back_what_was_lost_and_nothing_that_was_deleted() {
    let place = backed_up();
    place.write("more/late.md", "Written after the backup.\n");
    place.run(&["ingest", "more", "--acl", "public"]).ok();
    place.run(&["documents", "delete", "vault.md"]).ok();
    let receipt = place.run(&["documents", "receipt", "vault.md"]).ok().json();
    assert_eq!(receipt["backups"][0]["holds"], true, "{receipt}");
    place.write("receipt.json", receipt.to_string());
    place
        .run(&["documents", "verify-receipt", "receipt.json"])
        .ok();
    place.write(
        "forged.json",
        receipt.to_string().replace("vault.md", "other.md"),
    );
    place
        .run(&["documents", "verify-receipt", "forged.json"])
        .fails(1, "was not signed");

    place.run(&["restore", "copy"]).fails(1, "holds something");
    place.run(&["restore", "copy", "--force"]).ok();
    assert_eq!(ids(&place), ["pumps.md"]);
    place.run(&["documents", "verify-erased", "vault.md"]).ok();
    place.run(&["index", "verify"]).ok();
}

#[test]
fn deletions_are_applied_in_an_empty_folder_from_their_list() {
    let place = backed_up();
    place.run(&["documents", "delete", "vault.md"]).ok();
    let receipt = place.run(&["documents", "receipt", "vault.md"]).ok().json();
    let listed = serde_json::json!({ "deletions": [receipt] });
    place.write("deletions.json", listed.to_string());
    std::fs::remove_dir_all(place.data()).unwrap();
    place
        .run(&["restore", "copy", "--deletions", "deletions.json"])
        .ok();
    assert_eq!(ids(&place), ["pumps.md"]);
}

#[test]
fn a_damaged_backup_or_an_owned_folder_is_refused_and_nothing_changes() {
    let place = backed_up();
    let server = place.serve(&["--config", "quoin.toml"]);
    place
        .run(&["restore", "copy", "--force"])
        .fails(1, "belongs to another process");
    server.kill();
    let database = place.path("copy/quoin.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&database, bytes).unwrap();
    place
        .run(&["restore", "copy", "--force"])
        .fails(1, "`quoin.db` has changed");
    assert_eq!(ids(&place), ["pumps.md", "vault.md"]);
}
