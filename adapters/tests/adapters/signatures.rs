//! Whose signature makes a folder a version, and what happens to those that nobody trusted has signed.

use std::fs;
use std::path::Path;

use crate::support::{
    LINEAGE, PeftFolder, assert_says, base, id, key, name, sign, signed_folder, trusting,
};
use quoin_adapters::{AdapterError, BaseIdentity, Registry, Trust, signed_message};

/// Trusts the keys with these seeds.
fn registry(data: &Path, seeds: &[u8], require_signature: bool) -> Registry {
    Registry::open(data)
        .unwrap()
        .trusting(trusting(seeds, require_signature))
}

fn add(registry: &Registry, source: &Path) -> Result<String, AdapterError> {
    registry
        .add(source, &name("support"), &base())
        .map(|added| added.version.id().to_string())
}

#[test]
fn a_folder_signed_by_a_trusted_key_is_stored_with_its_signature() {
    let data = tempfile::tempdir().unwrap();
    let registry = registry(data.path(), &[1, 2], true);
    let source = signed_folder(0.1, 2);
    let version = registry
        .add(source.path(), &name("support"), &base())
        .unwrap()
        .version;
    assert_eq!(version.signed_by(), Some(key(2).id()));
    let shown = registry.verify(&version.id()).unwrap();
    assert_eq!(shown, version);
    let before = signed_message(source.path(), &base()).unwrap();
    assert_eq!(shown.signed_message(), before);
    let sums = fs::read_to_string(version.folder.join("SHA256SUMS")).unwrap();
    assert!(sums.contains("  quoin.sig\n"), "{sums}");
}

#[test]
fn the_message_says_what_it_is_of_and_changes_with_every_file_and_the_base() {
    let folder = PeftFolder::new(0.1).write();
    let message = signed_message(folder.path(), &base()).unwrap();
    assert!(message.starts_with("quoin adapter 1\nsha256:"), "{message}");
    assert!(message.ends_with('\n'));
    assert_eq!(message.len(), 16 + 7 + 64 + 1);
    let of_weights = signed_message(PeftFolder::new(0.2).write().path(), &base()).unwrap();
    let config = PeftFolder::new(0.1).with("lora_dropout", 0.5.into());
    let of_config = signed_message(config.write().path(), &base()).unwrap();
    let other_base = BaseIdentity {
        digest: BaseIdentity::digest_of_text("other"),
        ..base()
    };
    let of_base = signed_message(folder.path(), &other_base).unwrap();
    fs::write(folder.path().join("adapter_lineage.json"), LINEAGE).unwrap();
    let of_lineage = signed_message(folder.path(), &base()).unwrap();
    let mut messages = vec![message, of_weights, of_config, of_base, of_lineage];
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), 5);
}

/// The message was made by `signed_message.py`, and the signatures by minisign 0.11 and OpenSSL 3.
#[test]
fn signatures_of_minisign_and_openssl_are_accepted() {
    let fixtures = Path::new("tests/fixtures/signed");
    let keys = fs::read_to_string(fixtures.join("trusted_keys")).unwrap();
    let keys: Vec<_> = keys.lines().map(str::to_owned).collect();
    let trust = Trust::parse(&keys, true).unwrap();
    for (file, signer) in [
        ("quoin.sig", "ed25519:"),
        ("adapter.minisig", "minisign:CAB33CB0F6202D4"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let registry = Registry::open(data.path()).unwrap().trusting(trust.clone());
        let source = fixture_adapter();
        fs::copy(fixtures.join(file), source.path().join(file)).unwrap();
        let version = registry
            .add(source.path(), &name("support"), &base())
            .unwrap()
            .version;
        let by = version.signed_by().unwrap().to_string();
        assert!(by.starts_with(signer), "{by}");
        registry.verify(&version.id()).unwrap();
    }
}

fn fixture_adapter() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let stored = Path::new("tests/fixtures/stored/support/1").join(file);
        fs::copy(stored, folder.path().join(file)).unwrap();
    }
    folder
}

#[test]
fn a_minisign_signature_of_something_else_or_of_the_old_form_is_refused() {
    let fixtures = Path::new("tests/fixtures/signed");
    let keys = fs::read_to_string(fixtures.join("trusted_keys")).unwrap();
    let trust = Trust::parse(&[keys.lines().nth(1).unwrap().to_owned()], false).unwrap();
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap().trusting(trust);
    let other = PeftFolder::new(0.7).write();
    let current = fs::read_to_string(fixtures.join("adapter.minisig")).unwrap();
    let legacy = fs::read_to_string(fixtures.join("legacy.minisig")).unwrap();
    let renamed = current.replace("support for tiny", "support for all");
    let same = fixture_adapter();
    for (folder, signature) in [(&other, &current), (&same, &legacy), (&same, &renamed)] {
        fs::write(folder.path().join("adapter.minisig"), signature).unwrap();
        let error = add(&registry, folder.path()).unwrap_err().to_string();
        assert_says(
            &error,
            &["`adapter.minisig`", "trusted: `minisign:CAB33CB0F6202D4`"],
        );
    }
    fs::write(
        same.path().join("adapter.minisig"),
        "untrusted comment: x\n",
    )
    .unwrap();
    let error = add(&registry, same.path()).unwrap_err().to_string();
    assert_says(
        &error,
        &["adapter.minisig: its content is no signature, must be what `minisign -S` writes"],
    );
}

#[test]
fn an_unsigned_folder_is_refused_only_where_signatures_are_required() {
    let data = tempfile::tempdir().unwrap();
    let source = PeftFolder::new(0.1).write();
    let error = add(&registry(data.path(), &[1, 2], true), source.path()).unwrap_err();
    assert!(matches!(error, AdapterError::Untrusted { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "the folder is not signed by a trusted key: `require_signature` is set, and there is no `quoin.sig` or \
             `adapter.minisig`; trusted: `{}`, `{}`",
            key(1).id(),
            key(2).id()
        )
    );
    let permissive = registry(data.path(), &[1, 2], false);
    assert_eq!(add(&permissive, source.path()).unwrap(), "support@1");
    assert_eq!(
        permissive.verify(&id("support@1")).unwrap().signed_by(),
        None
    );
}

#[test]
fn a_signature_by_nobody_trusted_is_refused_even_where_none_is_required() {
    let data = tempfile::tempdir().unwrap();
    for (seeds, trusted) in [
        (&[1][..], key(1).id().to_string()),
        (&[], "no key".to_owned()),
    ] {
        let registry = registry(data.path(), seeds, false);
        let error = add(&registry, signed_folder(0.1, 3).path()).unwrap_err();
        let error = error.to_string();
        assert_says(
            &error,
            &["none of them made the signature `quoin.sig`", &trusted],
        );
        assert!(registry.list().unwrap().versions.is_empty());
    }
}

#[test]
fn a_signature_of_another_folder_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let registry = registry(data.path(), &[1], false);
    let source = PeftFolder::new(0.1).write();
    let other = signed_folder(0.2, 1);
    fs::copy(
        other.path().join("quoin.sig"),
        source.path().join("quoin.sig"),
    )
    .unwrap();
    let error = add(&registry, source.path()).unwrap_err();
    assert!(matches!(error, AdapterError::Untrusted { .. }), "{error}");

    // A lineage that came after the signature is not what was signed.
    let source = signed_folder(0.1, 1);
    fs::write(source.path().join("adapter_lineage.json"), LINEAGE).unwrap();
    add(&registry, source.path()).unwrap_err();
    sign(source.path(), 1);
    assert_eq!(add(&registry, source.path()).unwrap(), "support@1");
}

#[test]
fn what_is_no_signature_and_two_of_them_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let registry = registry(data.path(), &[1], false);
    let source = signed_folder(0.1, 1);
    let path = source.path().join("quoin.sig");
    let signature = fs::read_to_string(&path).unwrap();
    for bad in [
        "",
        "00",
        &signature.to_uppercase(),
        &format!(" {signature}"),
        &"0".repeat(9000),
    ] {
        fs::write(&path, bad).unwrap();
        let error = add(&registry, source.path()).unwrap_err();
        assert!(matches!(error, AdapterError::Refused { .. }), "{error}");
        assert_says(&error.to_string(), &["quoin.sig: its "]);
    }
    fs::write(&path, signature).unwrap();
    fs::write(source.path().join("adapter.minisig"), "").unwrap();
    let error = add(&registry, source.path()).unwrap_err().to_string();
    assert_says(
        &error,
        &["adapter.minisig: its place is beside `quoin.sig`"],
    );
}

#[test]
fn signing_what_is_registered_makes_a_version_that_is_signed_once_for_each_key() {
    let data = tempfile::tempdir().unwrap();
    let registry = registry(data.path(), &[1, 2], false);
    let unsigned = PeftFolder::new(0.1).write();
    assert_eq!(add(&registry, unsigned.path()).unwrap(), "support@1");
    for (seed, expected) in [(1, "support@2"), (2, "support@3"), (1, "support@2")] {
        assert_eq!(
            add(&registry, signed_folder(0.1, seed).path()).unwrap(),
            expected
        );
    }
    assert_eq!(add(&registry, unsigned.path()).unwrap(), "support@1");
    let of = |text| registry.show(&id(text)).unwrap();
    assert_eq!(of("support@1").digest, of("support@2").digest);
    assert_eq!(of("support@1").signed_by(), None);
    assert_eq!(of("support@3").signed_by(), Some(key(2).id()));
}

#[test]
fn a_version_whose_key_is_trusted_no_more_is_still_shown_and_does_not_verify() {
    let data = tempfile::tempdir().unwrap();
    add(
        &registry(data.path(), &[1], true),
        signed_folder(0.1, 1).path(),
    )
    .unwrap();
    let rotated = registry(data.path(), &[2], false);
    assert_eq!(
        rotated.show(&id("support@1")).unwrap().signed_by(),
        Some(key(1).id())
    );
    let both = registry(data.path(), &[1, 2], true);
    both.verify(&id("support@1")).unwrap();
    rotated.verify_content(&id("support@1")).unwrap_err();
    let error = rotated.verify(&id("support@1")).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "adapter `support@1` is not signed by a trusted key: its signature is by `{}`; trusted: `{}`",
            key(1).id(),
            key(2).id()
        )
    );
}

#[test]
fn an_unsigned_version_does_not_verify_once_signatures_are_required() {
    let data = tempfile::tempdir().unwrap();
    add(
        &registry(data.path(), &[1], false),
        PeftFolder::new(0.1).write().path(),
    )
    .unwrap();
    let error = registry(data.path(), &[1], true)
        .verify(&id("support@1"))
        .unwrap_err();
    assert_says(
        &error.to_string(),
        &[
            "adapter `support@1` is not signed by a trusted key",
            "`require_signature` is set",
        ],
    );
}
