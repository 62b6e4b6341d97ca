//! What was tampered with is found and named, and hides nothing else.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{LINEAGE, PeftFolder, add, added, base, id, key, name, sign, trusting};
use quoin_adapters::{AdapterError, AdapterVersion, BaseIdentity, Registry};
use serde_json::{Value, json};

fn unlocked(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// Short files are changed at each of their bytes, long ones at about this many places.
const PLACES: usize = 700;

/// A signed version with lineage and a report.
fn whole(data: &Path) -> (Registry, AdapterVersion) {
    let registry = Registry::open(data).unwrap().trusting(trusting(&[1], true));
    let source = PeftFolder::new(0.1).write();
    fs::write(source.path().join("adapter_lineage.json"), LINEAGE).unwrap();
    sign(source.path(), 1);
    let added = registry.add(source.path(), &name("support"), &base());
    let version = added.unwrap().version;
    let report = br#"{"nDCG@10": 0.61, "n": 500}"#;
    registry.attach_report(&version.id(), report).unwrap();
    registry.verify(&version.id()).unwrap();
    (registry, version)
}

#[test]
fn every_changed_byte_of_every_stored_file_is_found_and_its_file_named() {
    let data = tempfile::tempdir().unwrap();
    let (registry, version) = whole(data.path());
    let reports = version.reports().unwrap();
    let report = reports[0].digest.replace("sha256:", "../1.reports/") + ".json";
    for file in [
        "adapter_config.json",
        "adapter_model.safetensors",
        "adapter_lineage.json",
        "quoin.sig",
        "manifest.json",
        "SHA256SUMS",
        &report,
    ] {
        let path = version.folder.join(file);
        let original = fs::read(&path).unwrap();
        unlocked(&path);
        for position in (0..original.len()).step_by(1 + original.len() / PLACES) {
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
                        named == file.trim_start_matches("../") || reason.contains(file),
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

/// What somebody can do who may write the folder: change the manifest and list its new digest.
fn reseal(version: &AdapterVersion, change: impl FnOnce(&mut Value)) {
    let (path, sums) = (
        version.folder.join("manifest.json"),
        version.folder.join("SHA256SUMS"),
    );
    unlocked(&path);
    unlocked(&sums);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    let text = format!("{manifest:#}\n");
    fs::write(&path, &text).unwrap();
    let mut lines = String::new();
    let stored = manifest["files"].as_array().unwrap().iter();
    for file in stored.chain(manifest.get("signature").map(|made| &made["file"])) {
        let (hash, name) = (file["sha256"].as_str(), file["name"].as_str());
        writeln!(lines, "{}  {}", hash.unwrap(), name.unwrap()).unwrap();
    }
    let hash = BaseIdentity::digest_of_text(&text).replace("sha256:", "");
    fs::write(sums, format!("{lines}{hash}  manifest.json\n")).unwrap();
}

#[test]
fn what_is_sealed_again_after_a_change_is_betrayed_by_its_signature() {
    let data = tempfile::tempdir().unwrap();
    let (registry, version) = whole(data.path());
    let verify = || registry.verify(&version.id());
    reseal(&version, |_| {});
    verify().unwrap();

    // Other weights, with all digests made to fit.
    let weights = version.folder.join("adapter_model.safetensors");
    let original = fs::read(&weights).unwrap();
    unlocked(&weights);
    fs::write(&weights, PeftFolder::new(0.2).weights()).unwrap();
    let manifest = fs::read(version.folder.join("manifest.json")).unwrap();
    let other = tempfile::tempdir().unwrap();
    for file in [
        "adapter_config.json",
        "adapter_model.safetensors",
        "adapter_lineage.json",
    ] {
        fs::copy(version.folder.join(file), other.path().join(file)).unwrap();
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let forged = Registry::open(elsewhere.path())
        .unwrap()
        .add(other.path(), &name("support"), &base())
        .unwrap()
        .version;
    reseal(&version, |manifest| {
        manifest["files"] = json!(forged.files);
        manifest["digest"] = json!(forged.digest);
    });
    let error = verify().unwrap_err().to_string();
    assert!(error.contains("`quoin.sig` is no signature of"), "{error}");
    fs::write(&weights, original).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    reseal(&version, |changed| *changed = manifest.clone());
    verify().unwrap();

    // Another key, and none.
    reseal(&version, |manifest| {
        manifest["signature"]["key"] = json!(key(2));
    });
    let error = verify().unwrap_err().to_string();
    assert!(error.contains("`quoin.sig` is no signature of"), "{error}");
    reseal(&version, |manifest| {
        manifest.as_object_mut().unwrap().remove("signature");
    });
    let error = verify().unwrap_err().to_string();
    assert!(error.contains("`quoin.sig` was not registered"), "{error}");
    fs::remove_file(version.folder.join("quoin.sig")).unwrap();
    let error = verify().unwrap_err().to_string();
    assert!(error.contains("`require_signature` is set"), "{error}");
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
