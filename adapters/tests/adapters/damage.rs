//! What was tampered with is found and named, and hides nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{add, added, id};
use quoin_adapters::{AdapterError, Registry};

fn unlocked(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn every_flipped_byte_of_every_stored_file_is_found_and_its_file_named() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let version = added(&registry, 0.1);
    for file in [
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
        "SHA256SUMS",
    ] {
        let path = version.folder.join(file);
        let original = fs::read(&path).unwrap();
        unlocked(&path);
        for position in (0..original.len()).step_by(7) {
            let mut bytes = original.clone();
            bytes[position] ^= 1;
            fs::write(&path, bytes).unwrap();
            match registry.verify(&version.id()) {
                Err(AdapterError::Damaged {
                    adapter,
                    file: named,
                    reason,
                }) => {
                    assert_eq!(adapter, version.id());
                    // Where two files contradict each other, either may be the one that was changed: the text names both.
                    assert!(
                        named == file || reason.contains(file) || file == "manifest.json",
                        "byte {position} of {file}: {named}"
                    );
                }
                other => panic!("byte {position} of {file}: {other:?}"),
            }
        }
        fs::write(&path, original).unwrap();
    }
    registry.verify(&version.id()).unwrap();
}

#[test]
fn a_missing_and_an_added_file_are_named() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let version = added(&registry, 0.1);
    let stranger = version.folder.join("adapter_model.bin");
    fs::write(&stranger, "x").unwrap();
    let error = registry.verify(&version.id()).unwrap_err().to_string();
    assert_eq!(
        error,
        "adapter `support@1` is damaged: `adapter_model.bin` was not registered"
    );
    fs::remove_file(stranger).unwrap();
    fs::remove_file(version.folder.join("adapter_config.json")).unwrap();
    let error = registry.verify(&version.id()).unwrap_err().to_string();
    assert!(
        error.contains("`adapter_config.json` cannot be read"),
        "{error}"
    );
}

#[test]
fn a_damaged_version_hides_no_other_and_its_number_is_not_given_out_again() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    add(&registry, 0.1);
    let broken = add(&registry, 0.2);
    let manifest = registry.show(&broken).unwrap().folder.join("manifest.json");
    unlocked(&manifest);
    fs::write(manifest, "{").unwrap();
    let listing = registry.list().unwrap();
    assert_eq!(listing.versions.len(), 1);
    assert!(
        listing.damaged[0]
            .to_string()
            .contains("`support@2` is damaged: `manifest.json` does not parse")
    );
    assert_eq!(add(&registry, 0.2), id("support@3"));
}
