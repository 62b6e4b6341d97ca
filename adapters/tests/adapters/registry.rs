//! Versions are immutable, appear whole or not at all, and say which byte was tampered with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::Duration;

use crate::support::{PeftFolder, base, name};
use quoin_adapters::{AdapterError, AdapterId, Alias, AliasMove, BaseIdentity, Registry};

fn id(text: &str) -> AdapterId {
    text.parse().unwrap()
}

fn add(registry: &Registry, seed: f32) -> AdapterId {
    registry
        .add(
            PeftFolder::new(seed).write().path(),
            &name("support"),
            &base(),
        )
        .unwrap()
        .version
        .id()
}

fn unlocked(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

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
    let version = registry
        .add(
            PeftFolder::new(0.1).write().path(),
            &name("support"),
            &base(),
        )
        .unwrap()
        .version;
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
fn every_flipped_byte_of_every_stored_file_is_found_and_its_file_named() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let version = registry
        .add(
            PeftFolder::new(0.1).write().path(),
            &name("support"),
            &base(),
        )
        .unwrap()
        .version;
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
    let version = registry
        .add(
            PeftFolder::new(0.1).write().path(),
            &name("support"),
            &base(),
        )
        .unwrap()
        .version;
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

#[test]
fn an_unknown_version_is_not_found() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    add(&registry, 0.1);
    for text in ["support@2", "sales@1", "champion"] {
        let error = registry.resolve(text).unwrap_err();
        assert!(
            matches!(error, AdapterError::NotFound { .. }),
            "{text}: {error}"
        );
    }
    assert!(matches!(
        registry.resolve("../support@1"),
        Err(AdapterError::Name { .. })
    ));
}

#[test]
fn an_adapter_for_another_base_is_refused_where_it_would_be_served() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let version = registry
        .add(
            PeftFolder::new(0.1).write().path(),
            &name("support"),
            &base(),
        )
        .unwrap()
        .version;
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

#[test]
fn what_an_interrupted_add_left_is_removed_at_the_next_start_and_never_was_a_version() {
    let data = tempfile::tempdir().unwrap();
    let leftover = data.path().join(".incoming/half");
    fs::create_dir_all(&leftover).unwrap();
    PeftFolder::new(0.1).write_into(&leftover);
    let registry = Registry::open(data.path()).unwrap();
    assert!(!leftover.exists());
    assert!(registry.list().unwrap().versions.is_empty());
}

const CHILD_FOLDER: &str = "QUOIN_TEST_ADDS_ADAPTERS_INTO";

/// Not a test by itself: what the next test kills. It adds one adapter after the other until then.
#[test]
#[ignore = "runs as the child of `a_process_killed_while_adding_leaves_only_whole_versions`"]
fn child_that_adds_adapters() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else {
        return;
    };
    let registry = Registry::open(Path::new(&folder)).unwrap();
    for seed in 1_u16.. {
        add(&registry, f32::from(seed));
    }
}

#[test]
fn a_process_killed_while_adding_leaves_only_whole_versions() {
    let data = tempfile::tempdir().unwrap();
    let mut left_behind = 0;
    for round in 0..25 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "registry::child_that_adds_adapters", "--ignored"])
            .env(CHILD_FOLDER, data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + round * 3));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        left_behind += fs::read_dir(data.path().join(".incoming")).map_or(0, Iterator::count);

        let registry = Registry::open(data.path()).unwrap();
        assert_eq!(
            fs::read_dir(data.path().join(".incoming")).unwrap().count(),
            0
        );
        let listing = registry.list().unwrap();
        assert!(listing.damaged.is_empty(), "{:?}", listing.damaged);
        for (position, version) in listing.versions.iter().enumerate() {
            assert_eq!(version.version as usize, position + 1);
            registry.verify(&version.id()).unwrap();
        }
    }
    let registry = Registry::open(data.path()).unwrap();
    assert!(
        !registry.list().unwrap().versions.is_empty(),
        "no child came to add anything"
    );
    assert!(
        left_behind > 0,
        "no child was killed in the middle of adding"
    );
}

#[test]
fn an_alias_moves_only_from_where_it_was_seen() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let (one, two) = (add(&registry, 0.1), add(&registry, 0.2));
    let champion = Alias::champion();
    registry.set_alias(&champion, None, Some(&one)).unwrap();
    let error = registry.set_alias(&champion, None, Some(&two)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "alias `champion` is at `support@1`, not at `base`: it was moved meanwhile"
    );
    registry
        .set_alias(&champion, Some(&one), Some(&two))
        .unwrap();

    let registry = Registry::open(data.path()).unwrap();
    assert_eq!(registry.resolve("champion").unwrap().id(), two);
    registry.set_alias(&champion, Some(&two), None).unwrap();
    assert!(registry.aliases().unwrap().is_empty());
}

#[test]
fn a_promotion_moves_all_its_aliases_or_none() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let (one, two) = (add(&registry, 0.1), add(&registry, 0.2));
    registry
        .set_alias(&Alias::champion(), None, Some(&one))
        .unwrap();
    registry
        .set_alias(&Alias::challenger(), None, Some(&two))
        .unwrap();
    let step = |alias: Alias, from: Option<&AdapterId>, to: Option<&AdapterId>| AliasMove {
        alias,
        from: from.cloned(),
        to: to.cloned(),
    };
    let before = registry.aliases().unwrap();
    let stale = [
        step(Alias::champion(), Some(&one), Some(&two)),
        step(Alias::previous(), Some(&two), Some(&one)),
    ];
    registry.move_aliases(&stale).unwrap_err();
    assert_eq!(registry.aliases().unwrap(), before);

    let promotion = [
        step(Alias::champion(), Some(&one), Some(&two)),
        step(Alias::previous(), None, Some(&one)),
        step(Alias::challenger(), Some(&two), None),
    ];
    let after = registry.move_aliases(&promotion).unwrap();
    assert_eq!(after.get(&Alias::champion()), Some(&two));
    assert_eq!(after.get(&Alias::previous()), Some(&one));
    assert_eq!(after.get(&Alias::challenger()), None);
}

#[test]
fn an_alias_points_at_what_exists() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let error = registry
        .set_alias(&Alias::champion(), None, Some(&id("support@1")))
        .unwrap_err();
    assert!(matches!(error, AdapterError::NotFound { .. }), "{error}");
}

#[test]
fn of_many_who_move_an_alias_from_the_same_place_one_wins() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let ids: Vec<_> = (1_u8..=8)
        .map(|seed| add(&registry, f32::from(seed)))
        .collect();
    let start = Barrier::new(ids.len());
    let wins = std::thread::scope(|scope| {
        let threads: Vec<_> = ids
            .iter()
            .map(|id| {
                let (registry, start) = (&registry, &start);
                scope.spawn(move || {
                    start.wait();
                    registry
                        .set_alias(&Alias::champion(), None, Some(id))
                        .is_ok()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| usize::from(thread.join().unwrap()))
            .sum::<usize>()
    });
    assert_eq!(wins, 1);
}
