//! What a search may be narrowed to, besides what the caller may read.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// All of them must hold. Unknown names are errors, so that a misspelt filter never widens a search.
///
/// They are read from an object only: as a list, which derived code would take too, they would all be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct Filters {
    /// Each key must have the value, or one of the values; a document's list has each of its members.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, OneOrMany<Value>>,
    /// The document's id begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_prefix: Option<String>,
    /// The document belongs to the source, or to one of the sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<OneOrMany<String>>,
}

impl Filters {
    /// Whether nothing is narrowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metadata.is_empty() && self.id_prefix.is_none() && self.source.is_none()
    }
}

impl Serialize for Filters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Filters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Filters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of filters")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Filters, A::Error> {
                Filters::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A value, or a list of which one suffices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// Any of these.
    Many(Vec<T>),
    /// This one.
    One(T),
}

impl<T> OneOrMany<T> {
    /// The value, or all of them.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        match self {
            Self::One(value) => std::slice::from_ref(value).iter(),
            Self::Many(values) => values.iter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_filter_is_an_error_that_names_it() {
        let error = serde_json::from_str::<Filters>(r#"{"team": "hr"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `team`"));
    }

    #[test]
    fn only_an_object_is_a_set_of_filters() {
        for json in ["[]", r#"[{"team": "hr"}]"#, "null", r#""team""#, "1"] {
            let error = serde_json::from_str::<Filters>(json).unwrap_err();
            assert!(
                error.to_string().contains("an object of filters"),
                "{error}"
            );
            assert!(serde_json::from_value::<Filters>(json.parse().unwrap()).is_err());
        }
        for json in [r#"{"metadata": []}"#, r#"{"metadata": [["team", "hr"]]}"#] {
            assert!(serde_json::from_str::<Filters>(json).is_err(), "{json}");
        }
        let json = r#"{"metadata":{"team":"hr"},"id_prefix":"a/","source":["x","y"]}"#;
        let filters: Filters = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&filters).unwrap(), json);
    }

    #[test]
    fn one_value_and_a_list_are_both_read() {
        let filters: Filters =
            serde_json::from_str(r#"{"metadata": {"team": "hr", "year": [2025, 2026]}}"#).unwrap();
        assert_eq!(filters.metadata["team"].values().count(), 1);
        assert_eq!(filters.metadata["year"].values().count(), 2);
    }
}
