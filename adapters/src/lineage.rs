//! Where an adapter comes from: `adapter_lineage.json`, which a recipe writes beside the weights and the registry stores with
//! them, so that digest and signature of a version cover it. A folder may have none.
//!
//! It is a statement of whoever trained the adapter: its form and its bounds are checked here, not its truth.

use std::collections::BTreeSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::digest::is_digest;
use crate::error::AdapterError;

pub(crate) const LINEAGE: &str = "adapter_lineage.json";

pub const LINEAGE_BYTES_MAX: u64 = 32 << 20;
pub const ROW_IDS_MAX: usize = 200_000;
pub const ROW_ID_BYTES_MAX: usize = 128;
pub const HYPERPARAMETERS_BYTES_MAX: usize = 64 << 10;
pub const LICENCE_NOTES_MAX: usize = 32;
pub const LICENCE_NOTE_BYTES_MAX: usize = 4 << 10;
const NAME_BYTES_MAX: usize = 256;
const FORMAT: u32 = 1;

/// What an adapter was made of and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    format: u32,
    /// What the base model was called where it was tuned; the base itself is known by its digest in the manifest.
    pub base: String,
    pub training_data: TrainingData,
    pub recipe: Recipe,
    /// Terms under which the data or the base may be used, for people.
    #[serde(default)]
    pub licence_notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingData {
    /// `sha256:…` of the file of examples.
    pub digest: String,
    /// The rows that were learned from, each once; those that only measured the loss are not among them. Whoever names a row
    /// in an evaluation uses the same ids.
    #[serde(deserialize_with = "each_once")]
    pub row_ids: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The script's name, such as `train_adapter.py`.
    pub script: String,
    pub seed: u64,
    #[serde(default)]
    pub hyperparameters: Map<String, Value>,
}

impl Lineage {
    /// The rows among `ids` that the adapter was trained on, in the order of `ids`: an evaluation refuses these.
    pub fn trained_on<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        ids.into_iter()
            .filter(|id| self.training_data.row_ids.contains(*id))
            .collect()
    }

    /// Reads the content of the file, which has at most [`LINEAGE_BYTES_MAX`].
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, AdapterError> {
        let lineage: Self = serde_json::from_slice(bytes)
            .map_err(|error| refused("its content", error.to_string(), "must be a lineage"))?;
        lineage.check()?;
        Ok(lineage)
    }

    fn check(&self) -> Result<(), AdapterError> {
        if self.format != FORMAT {
            let found = self.format.to_string();
            return Err(refused(
                "`format`",
                found,
                format!("this version reads {FORMAT}"),
            ));
        }
        check_text("`base`", &self.base, NAME_BYTES_MAX)?;
        check_text("`recipe.script`", &self.recipe.script, NAME_BYTES_MAX)?;
        self.check_data()?;
        let hyperparameters = Value::Object(self.recipe.hyperparameters.clone()).to_string();
        if hyperparameters.len() > HYPERPARAMETERS_BYTES_MAX {
            return Err(refused(
                "`recipe.hyperparameters`",
                format!("{} bytes", hyperparameters.len()),
                format!("must be at most {HYPERPARAMETERS_BYTES_MAX}"),
            ));
        }
        check_count(
            "`licence_notes`",
            self.licence_notes.len(),
            LICENCE_NOTES_MAX,
        )?;
        for (position, note) in self.licence_notes.iter().enumerate() {
            let field = format!("`licence_notes[{position}]`");
            let length = note.len();
            if !(1..=LICENCE_NOTE_BYTES_MAX).contains(&length) {
                let limit = format!("must have 1 to {LICENCE_NOTE_BYTES_MAX}");
                return Err(refused(field, format!("{length} bytes"), limit));
            }
        }
        Ok(())
    }

    fn check_data(&self) -> Result<(), AdapterError> {
        let data = &self.training_data;
        if !is_digest(&data.digest) {
            return Err(refused(
                "`training_data.digest`",
                format!("`{}`", beginning(&data.digest)),
                "must be `sha256:` and 64 of 0-9 and a-f",
            ));
        }
        check_count("`training_data.row_ids`", data.row_ids.len(), ROW_IDS_MAX)?;
        data.row_ids
            .iter()
            .try_for_each(|id| check_text("a row in `training_data.row_ids`", id, ROW_ID_BYTES_MAX))
    }
}

/// A set from a list that names nothing twice: who counts the list counts the set.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    let mut ids = BTreeSet::new();
    for id in list {
        if let Some(twice) = ids.replace(id) {
            let twice = beginning(&twice);
            return Err(D::Error::custom(format!("row id `{twice}` is there twice")));
        }
    }
    Ok(ids)
}

fn check_text(field: &str, text: &str, limit: usize) -> Result<(), AdapterError> {
    if (1..=limit).contains(&text.len()) && !text.contains(char::is_control) {
        return Ok(());
    }
    let found = format!(
        "`{}` ({} bytes)",
        beginning(text).escape_debug(),
        text.len()
    );
    let rule = format!("must have 1 to {limit} bytes and no control characters");
    Err(refused(field, found, rule))
}

fn check_count(field: &str, count: usize, limit: usize) -> Result<(), AdapterError> {
    if count <= limit {
        return Ok(());
    }
    let found = format!("{count} items");
    Err(refused(field, found, format!("must be at most {limit}")))
}

fn beginning(text: &str) -> String {
    text.chars().take(80).collect()
}

fn refused(
    field: impl Into<String>,
    found: impl Into<String>,
    limit: impl Into<String>,
) -> AdapterError {
    AdapterError::refused(LINEAGE, field, found, limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn written() -> Value {
        json!({
            "format": 1,
            "base": "quoin-pointer",
            "training_data": {"digest": format!("sha256:{}", "0".repeat(64)), "row_ids": ["b", "a"]},
            "recipe": {"script": "train_adapter.py", "seed": 7, "hyperparameters": {"rate": 1e-3}},
            "licence_notes": ["data: CC0"],
        })
    }

    fn parsed(value: &Value) -> Result<Lineage, String> {
        Lineage::parse(value.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_recipe_writes_is_read_whole() {
        let lineage = parsed(&written()).unwrap();
        assert_eq!(lineage.recipe.seed, 7);
        assert_eq!(lineage.recipe.hyperparameters["rate"], 1e-3);
        assert_eq!(lineage.licence_notes, ["data: CC0"]);
        assert_eq!(parsed(&json!(lineage)).unwrap(), lineage);
    }

    /// Of 24 examples, two of which only measured the loss; twelve had an id of their own.
    #[test]
    fn what_our_recipe_wrote_is_read() {
        let lineage =
            Lineage::parse(include_bytes!("../tests/fixtures/adapter_lineage.json")).unwrap();
        assert_eq!(lineage.base, "quoin-pointer");
        assert_eq!(lineage.training_data.row_ids.len(), 22);
        assert_eq!(lineage.trained_on(["q-0", "q-1", "q-12"]), ["q-1"]);
        assert_eq!(lineage.recipe.hyperparameters["packages"]["peft"], "0.21.2");
        assert_eq!(lineage.licence_notes, ["examples: CC0"]);
    }

    #[test]
    fn an_evaluation_learns_which_of_its_questions_were_trained_on() {
        let lineage = parsed(&written()).unwrap();
        assert_eq!(lineage.trained_on(["c", "b", "d", "a"]), ["b", "a"]);
        assert!(lineage.trained_on(["c", "A"]).is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_limit() {
        let long = "x".repeat(129);
        let cases = [
            ("/format", json!(2), "`format` is 2, this version reads 1"),
            (
                "/base",
                json!(""),
                "`base` is `` (0 bytes), must have 1 to 256",
            ),
            (
                "/recipe/script",
                json!("a\nb"),
                "`recipe.script` is `a\\nb` (3 bytes)",
            ),
            ("/recipe/seed", json!(-1), "invalid value"),
            (
                "/training_data/digest",
                json!("sha256:00"),
                "`training_data.digest` is `sha256:00`",
            ),
            (
                "/training_data/row_ids",
                json!(["a", "b", "a"]),
                "row id `a` is there twice",
            ),
            (
                "/training_data/row_ids",
                json!([long]),
                "(129 bytes), must have 1 to 128",
            ),
            (
                "/training_data",
                json!({"row_ids": []}),
                "missing field `digest`",
            ),
            (
                "/licence_notes",
                json!(vec!["n"; 33]),
                "33 items, must be at most 32",
            ),
            (
                "/licence_notes",
                json!([""]),
                "`licence_notes[0]` is 0 bytes",
            ),
            (
                "/recipe/hyperparameters",
                json!({"a": "x".repeat(HYPERPARAMETERS_BYTES_MAX)}),
                "`recipe.hyperparameters` is 65544 bytes",
            ),
        ];
        for (place, value, says) in cases {
            let mut lineage = written();
            *lineage.pointer_mut(place).unwrap() = value;
            let error = parsed(&lineage).unwrap_err();
            assert!(error.starts_with("adapter_lineage.json: "), "{error}");
            assert!(error.contains(says), "`{error}` does not say `{says}`");
        }
    }

    #[test]
    fn a_field_that_is_not_known_is_refused_by_name() {
        for place in ["", "/training_data", "/recipe"] {
            let mut lineage = written();
            lineage.pointer_mut(place).unwrap()["surprise"] = json!(1);
            let error = parsed(&lineage).unwrap_err();
            assert!(error.contains("unknown field `surprise`"), "{error}");
        }
    }

    #[test]
    fn more_rows_than_the_limit_are_refused() {
        let mut lineage = written();
        let ids: Vec<_> = (0..=ROW_IDS_MAX).map(|id| id.to_string()).collect();
        lineage["training_data"]["row_ids"] = json!(ids);
        let error = parsed(&lineage).unwrap_err();
        assert!(
            error.contains("200001 items, must be at most 200000"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_is_read_is_within_its_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            id in ".{0,140}",
        ) {
            let _ = Lineage::parse(&bytes);
            let mut lineage = written();
            lineage["training_data"]["row_ids"] = json!([id]);
            let allowed = (1..=ROW_ID_BYTES_MAX).contains(&id.len()) && !id.contains(char::is_control);
            prop_assert_eq!(parsed(&lineage).is_ok(), allowed);
        }

        #[test]
        fn a_row_is_found_exactly_when_it_was_trained_on(
            trained in proptest::collection::btree_set("[a-d]{1,3}", 0..20),
            asked in proptest::collection::vec("[a-d]{1,3}", 0..20),
        ) {
            let mut lineage = written();
            lineage["training_data"]["row_ids"] = json!(trained);
            let found = parsed(&lineage).unwrap();
            let expected: Vec<_> = asked.iter().map(String::as_str).filter(|id| trained.contains(*id)).collect();
            prop_assert_eq!(found.trained_on(asked.iter().map(String::as_str)), expected);
        }
    }
}
