//! Versions are immutable, numbered in order, and appear once for each content.

use std::fs;
use std::process::Command;
use std::sync::Barrier;

use crate::support::{PeftFolder, add, added, base, id, name};
use quoin_adapters::{AdapterError, BaseIdentity, Registry};

#[test]
fn versions_count_from_one_and_survive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    {
        let registry = Registry::open(data.path()).unwrap();
        assert_eq!(add(&registry, 0.1), id("support@1"));
        assert_eq!(add(&registry, 0.2), id("support@2"));
    }
    let registry = Registry::open(data.path()).unwrap();
    assert_eq!(add(&registry, 0.3), id("support@3"));
    let listing = registry.list().unwrap();
    let ids: Vec<_> = listing
        .versions
        .iter()
        .map(|version| version.id().to_string())
        .collect();
    assert_eq!(ids, ["support@1", "support@2", "support@3"]);
    assert!(listing.damaged.is_empty());
    for version in listing.versions {
        registry.verify(&version.id()).unwrap();
    }
}

#[test]
fn version_ten_follows_version_nine() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    for number in 1_u16..=11 {
        assert_eq!(add(&registry, f32::from(number)).version, u32::from(number));
    }
}

#[test]
fn identical_content_is_the_version_that_it_already_is() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    assert_eq!(add(&registry, 0.1), id("support@1"));
    assert_eq!(add(&registry, 0.2), id("support@2"));
    assert_eq!(add(&registry, 0.1), id("support@1"));
    assert_eq!(registry.list().unwrap().versions.len(), 2);

    let source = PeftFolder::new(0.1).write();
    let again = registry
        .add(source.path(), &name("support"), &base())
        .unwrap();
    assert!(!again.is_new);
    let under_other_name = registry
        .add(source.path(), &name("sales"), &base())
        .unwrap();
    assert!(under_other_name.is_new);
    let other_name = under_other_name.version;
    assert_eq!(other_name.id(), id("sales@1"));
    assert_eq!(
        other_name.digest,
        registry.show(&id("support@1")).unwrap().digest
    );
    let other_base = BaseIdentity {
        digest: BaseIdentity::digest_of_text("other"),
        ..base()
    };
    assert_eq!(
        registry
            .add(source.path(), &name("support"), &other_base)
            .unwrap()
            .version
            .id(),
        id("support@3")
    );
}

#[test]
fn the_manifest_says_what_was_stored() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let mut folder = PeftFolder::new(0.1);
    folder.others.push(("README.md", "not part of it"));
    let version = registry
        .add(folder.write().path(), &name("support"), &base())
        .unwrap()
        .version;
    assert_eq!(registry.show(&version.id()).unwrap(), version);

    let mut names: Vec<_> = fs::read_dir(&version.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "SHA256SUMS",
            "adapter_config.json",
            "adapter_model.safetensors",
            "manifest.json"
        ]
    );
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(version.folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["name"], "support");
    assert_eq!(manifest["version"], 1);
    assert_eq!(manifest["base"]["digest"], base().digest);
    assert_eq!(manifest["lora"]["r"], 4);
    assert_eq!(manifest["files"][1]["bytes"], folder.weights().len());
    let created = manifest["created_at"].as_str().unwrap();
    assert!(
        created.starts_with("20") && created.ends_with('Z'),
        "{created}"
    );
}

#[test]
fn sha256sum_agrees() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let version = added(&registry, 0.1);
    let Ok(output) = Command::new("sha256sum")
        .args(["-c", "SHA256SUMS"])
        .current_dir(&version.folder)
        .output()
    else {
        return; // not on this machine
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn an_unknown_version_is_not_found() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    add(&registry, 0.1);
    for text in ["support@2", "sales@1"] {
        let error = registry.show(&id(text)).unwrap_err();
        assert!(
            matches!(error, AdapterError::NotFound { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn an_adapter_for_another_base_is_refused_where_it_would_be_served() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let version = added(&registry, 0.1);
    version.check_base(&base().digest).unwrap();
    let error = version.check_base("sha256:00").unwrap_err().to_string();
    assert!(
        error.starts_with("adapter `support@1` was made for base `sha256:")
            && error.contains("`sha256:00`"),
        "{error}"
    );
}

#[test]
fn adding_from_many_threads_gives_each_content_one_number() {
    let data = tempfile::tempdir().unwrap();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0_u8..8 {
            let (start, folder) = (&start, data.path());
            scope.spawn(move || {
                start.wait();
                // A registry of its own: what excludes threads here excludes processes too.
                let registry = Registry::open(folder).unwrap();
                for seed in 1_u8..=3 {
                    add(&registry, f32::from(seed) + f32::from(thread % 2) / 2.0);
                }
            });
        }
    });
    let registry = Registry::open(data.path()).unwrap();
    let versions = registry.list().unwrap().versions;
    let numbers: Vec<_> = versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}
