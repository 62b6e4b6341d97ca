//! Lineage is stored with the version, digested with it, and may be missing.

use std::fs;
use std::path::Path;

use crate::support::{LINEAGE, PeftFolder, add, assert_says, base, id, name, refusal_of_folder};
use quoin_adapters::{LINEAGE_BYTES_MAX, Registry};

fn with_lineage(text: &str) -> tempfile::TempDir {
    let folder = PeftFolder::new(0.1).write();
    fs::write(folder.path().join("adapter_lineage.json"), text).unwrap();
    folder
}

#[test]
fn lineage_is_stored_with_the_version_and_tells_an_evaluation_what_was_trained_on() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let source = with_lineage(LINEAGE);
    let version = registry
        .add(source.path(), &name("support"), &base())
        .unwrap()
        .version;
    assert_eq!(version.files[2].name, "adapter_lineage.json");
    drop(source);

    let shown = registry.verify(&version.id()).unwrap();
    let lineage = shown.lineage().unwrap().unwrap();
    assert_eq!(lineage.base, "tiny");
    assert_eq!(lineage.recipe.script, "train_adapter.py");
    assert_eq!(lineage.recipe.hyperparameters["rate"], 0.001);
    assert_eq!(lineage.trained_on(["q9", "q2"]), ["q2"]);
}

#[test]
fn a_folder_without_lineage_is_a_version_without() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let version = registry.verify(&add(&registry, 0.1)).unwrap();
    assert_eq!(version.lineage().unwrap(), None);
}

#[test]
fn the_same_weights_from_elsewhere_are_another_version() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    assert_eq!(add(&registry, 0.1), id("support@1"));
    let add_with = |text: &str| {
        let source = with_lineage(text);
        let added = registry.add(source.path(), &name("support"), &base());
        added.unwrap().version
    };
    let with = add_with(LINEAGE);
    assert_eq!(with.id(), id("support@2"));
    assert_eq!(add_with(LINEAGE).id(), id("support@2"));
    assert_eq!(add_with(&LINEAGE.replace("q2", "q3")).id(), id("support@3"));
    assert_ne!(with.digest, registry.show(&id("support@1")).unwrap().digest);
}

#[test]
fn a_lineage_that_does_not_read_refuses_the_adapter() {
    let folder = with_lineage(&LINEAGE.replace("\"seed\"", "\"sead\""));
    let text = refusal_of_folder(folder.path());
    assert_says(
        &text,
        &["adapter_lineage.json: its content", "unknown field `sead`"],
    );

    let folder = with_lineage("");
    let file = fs::File::create(folder.path().join("adapter_lineage.json")).unwrap();
    file.set_len(LINEAGE_BYTES_MAX + 1).unwrap();
    let text = refusal_of_folder(folder.path());
    assert_says(
        &text,
        &["adapter_lineage.json: its size is 33554433 bytes, must be at most 33554432"],
    );
}

#[test]
fn a_lineage_that_points_nowhere_is_not_taken_for_none() {
    let folder = PeftFolder::new(0.1).write();
    let link = folder.path().join("adapter_lineage.json");
    std::os::unix::fs::symlink("nowhere", link).unwrap();
    assert_says(
        &refusal_of_folder(folder.path()),
        &["cannot open", "adapter_lineage.json"],
    );
}

/// Written by the registry before it knew of lineage, signatures and reports.
#[test]
fn what_was_stored_before_there_was_lineage_is_read_verified_and_found_again() {
    let data = tempfile::tempdir().unwrap();
    let stored = Path::new("tests/fixtures/stored/support/1");
    let folder = data.path().join("support/1");
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(stored).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let registry = Registry::open(data.path()).unwrap();
    let version = registry.verify(&id("support@1")).unwrap();
    assert_eq!(version.created_at, "2026-11-25T04:00:17Z");
    assert_eq!(version.lineage().unwrap(), None);
    assert_eq!(version.signed_by(), None);
    assert!(version.reports().unwrap().is_empty());

    let again = registry.add(stored, &name("support"), &base()).unwrap();
    assert!(!again.is_new);
    assert_eq!(again.version, version);
}
