//! Adapters and bases that PEFT and transformers wrote, not ours: the engine's fixtures.

use std::path::{Path, PathBuf};

use quoin_adapters::{BaseIdentity, Registry};

use crate::support::name;

fn engine(path: &str) -> PathBuf {
    Path::new("../runtime/engine").join(path)
}

#[test]
fn what_peft_trained_for_a_base_is_accepted_for_it_and_refused_for_another() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let base = BaseIdentity::of_folder(&engine("tests/fixtures/base")).unwrap();
    let other = BaseIdentity::of_folder(&engine("bundled/pointer")).unwrap();
    for (version, folder) in ["tests/fixtures/v1", "tests/fixtures/v2"]
        .iter()
        .enumerate()
    {
        let added = registry
            .add(&engine(folder), &name("support"), &base)
            .unwrap()
            .version;
        assert_eq!(added.version as usize, version + 1);
        registry.verify(&added.id()).unwrap();
        added.check_base(&base.digest).unwrap();

        let error = registry
            .add(&engine(folder), &name("support"), &other)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("adapter_model.safetensors: tensor `base_model.model.model.layers."),
            "{error}"
        );
        assert!(error.contains("must be ["), "{error}");
    }
}
