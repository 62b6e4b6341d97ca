//! What a scan of a followed folder means for the catalogue: which files to put, under which ids, and what to delete. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quoin_retriever::DocumentId;
use serde::{Deserialize, Serialize};

/// With more documents than this, more than half of them do not go at once unless that is allowed.
const GUARDED_DOCUMENTS: usize = 20;

/// What tells without reading it that a file is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// When it was last written, nanoseconds since 1970.
    pub modified_ns: i128,
    /// Its number in the file system.
    pub inode: u64,
}

/// A document of the source, and the file that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The document.
    pub id: String,
    /// SHA-256 of the file, when it is known.
    pub digest: Option<String>,
    /// The file when it was read; `None` when it must be read again.
    pub stamp: Option<Stamp>,
    /// What the rules around it said.
    pub said: String,
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Below the folder.
    pub path: String,
    /// The id that its path gives.
    pub id: String,
    /// SHA-256.
    pub digest: String,
    /// What the rules around it say.
    pub said: String,
}

/// A file to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Below the folder.
    pub path: String,
    /// The document that it becomes.
    pub id: String,
    /// Where the document's file was before, when it was moved.
    pub from: Option<String>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files whose documents are new, changed or elsewhere.
    pub puts: Vec<Put>,
    /// Files whose documents are as they should be.
    pub unchanged: usize,
    /// Paths whose files are gone.
    pub gone: Vec<String>,
    /// Why `gone` is empty although files are gone.
    pub guard: Option<String>,
    /// Files that cannot have a document, and why.
    pub refused: Vec<(String, String)>,
}

/// What a scan saw.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Files to follow.
    pub seen: Vec<Seen>,
    /// Files and folders that could not be looked at, or are being written: what is known at or below them stays.
    pub held: BTreeSet<String>,
}

/// Compares what is known, by path, with what was seen. A file that is elsewhere with the same content keeps its document; where
/// several could be meant, they are paired in the order of their paths.
#[must_use]
pub fn plan(known: &BTreeMap<String, Known>, scan: &Scan, allow_mass_deletion: bool) -> Plan {
    let mut plan = Plan::default();
    let there: BTreeSet<&str> = scan.seen.iter().map(|seen| seen.path.as_str()).collect();
    let mut gone: BTreeMap<&str, &Known> = known
        .iter()
        .map(|(path, known)| (path.as_str(), known))
        .filter(|(path, _)| !there.contains(path) && !is_held(&scan.held, path))
        .collect();
    let mut by_digest: HashMap<&str, Vec<&str>> = HashMap::new();
    for (path, known) in gone.iter().rev() {
        if let Some(digest) = &known.digest {
            by_digest.entry(digest).or_default().push(path);
        }
    }
    let mut taken: BTreeSet<String> = known.values().map(|known| known.id.clone()).collect();
    for seen in &scan.seen {
        if let Some(known) = known.get(&seen.path) {
            if known.digest.as_ref() == Some(&seen.digest) && known.said == seen.said {
                plan.unchanged += 1;
            } else {
                plan.puts.push(put(seen, known.id.clone(), None));
            }
            continue;
        }
        let from = by_digest.get_mut(seen.digest.as_str()).and_then(Vec::pop);
        if let Some((from, known)) = from.and_then(|path| gone.remove_entry(path)) {
            plan.puts.push(put(seen, known.id.clone(), Some(from)));
            continue;
        }
        let id = free_id(&seen.id, &taken);
        if let Err(error) = DocumentId::new(id.as_str()) {
            plan.refused.push((seen.path.clone(), error.to_string()));
            continue;
        }
        taken.insert(id.clone());
        plan.puts.push(put(seen, id, None));
    }
    plan.guard = guard(known.len(), gone.len(), scan, allow_mass_deletion);
    if plan.guard.is_none() {
        plan.gone = gone.into_keys().map(str::to_owned).collect();
    }
    plan
}

fn put(seen: &Seen, id: String, from: Option<&str>) -> Put {
    Put {
        path: seen.path.clone(),
        id,
        from: from.map(str::to_owned),
    }
}

fn is_held(held: &BTreeSet<String>, path: &str) -> bool {
    held.contains("")
        || held.contains(path)
        || path
            .match_indices('/')
            .any(|(end, _)| held.contains(&path[..end]))
}

/// The id of a path, unless a document that was moved from there keeps it.
fn free_id(id: &str, taken: &BTreeSet<String>) -> String {
    let mut free = id.to_owned();
    let mut number = 2_usize;
    while taken.contains(&free) {
        free = format!("{id}~{number}");
        number += 1;
    }
    free
}

fn guard(known: usize, gone: usize, scan: &Scan, allow_mass_deletion: bool) -> Option<String> {
    if gone == 0 || allow_mass_deletion {
        return None;
    }
    if scan.seen.is_empty() {
        return Some(format!(
            "the folder has no documents any more, as if it were not mounted: {gone} stay in the catalogue"
        ));
    }
    if known > GUARDED_DOCUMENTS && gone * 2 > known {
        return Some(format!(
            "the files of {gone} of {known} documents are gone at once: all stay in the catalogue"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(files: &[(&str, &str)]) -> BTreeMap<String, Known> {
        let known = |(path, digest): &(&str, &str)| {
            let known = Known {
                id: format!("kb/{path}"),
                digest: Some((*digest).to_owned()),
                stamp: None,
                said: String::new(),
            };
            ((*path).to_owned(), known)
        };
        files.iter().map(known).collect()
    }

    fn seen(files: &[(&str, &str)]) -> Scan {
        let seen = |(path, digest): &(&str, &str)| Seen {
            path: (*path).to_owned(),
            id: format!("kb/{path}"),
            digest: (*digest).to_owned(),
            said: String::new(),
        };
        Scan {
            seen: files.iter().map(seen).collect(),
            held: BTreeSet::new(),
        }
    }

    fn puts(plan: &Plan) -> Vec<(&str, &str)> {
        plan.puts
            .iter()
            .map(|put| (put.path.as_str(), put.id.as_str()))
            .collect()
    }

    #[test]
    fn files_are_put_left_alone_and_taken_away() {
        let plan = plan(
            &known(&[("a", "1"), ("b", "2"), ("c", "3")]),
            &seen(&[("a", "1"), ("b", "9"), ("d", "4")]),
            false,
        );
        assert_eq!(puts(&plan), [("b", "kb/b"), ("d", "kb/d")]);
        assert_eq!((plan.unchanged, plan.gone), (1, vec!["c".to_owned()]));
    }

    #[test]
    fn a_file_that_moves_keeps_its_document_and_its_old_place_gets_another() {
        let before = known(&[("a", "1")]);
        let moved = plan(&before, &seen(&[("x/a", "1")]), false);
        assert_eq!(puts(&moved), [("x/a", "kb/a")]);
        assert_eq!(moved.puts[0].from.as_deref(), Some("a"));
        assert!(moved.gone.is_empty());
        let mut after = before;
        let document = after.remove("a").unwrap();
        after.insert("x/a".to_owned(), document);
        let again = plan(&after, &seen(&[("a", "2"), ("x/a", "1")]), false);
        assert_eq!(puts(&again), [("a", "kb/a~2")]);
    }

    #[test]
    fn a_copy_is_another_document() {
        let plan = plan(
            &known(&[("a", "1")]),
            &seen(&[("a", "1"), ("b", "1")]),
            false,
        );
        assert_eq!(puts(&plan), [("b", "kb/b")]);
    }

    #[test]
    fn what_the_rules_say_counts_as_a_change() {
        let mut scan = seen(&[("a", "1")]);
        scan.seen[0].said = "{}".to_owned();
        assert_eq!(
            puts(&plan(&known(&[("a", "1")]), &scan, false)),
            [("a", "kb/a")]
        );
    }

    #[test]
    fn what_cannot_be_looked_at_stays() {
        let mut scan = seen(&[("z", "9")]);
        scan.held = ["x".to_owned(), "b".to_owned()].into();
        let plan = plan(
            &known(&[("x/a", "1"), ("b", "2"), ("xa", "3")]),
            &scan,
            false,
        );
        assert_eq!(plan.gone, ["xa"]);
    }

    #[test]
    fn an_empty_folder_and_the_loss_of_more_than_half_delete_nothing_unless_allowed() {
        let names: Vec<String> = (0..30).map(|number| format!("f{number:02}")).collect();
        let files: Vec<(&str, &str)> = names
            .iter()
            .map(|name| (name.as_str(), name.as_str()))
            .collect();
        let all = known(&files);
        for (left, allowed, deleted) in [
            (0, false, 0),
            (14, false, 0),
            (15, false, 15),
            (14, true, 16),
            (0, true, 30),
        ] {
            let plan = plan(&all, &seen(&files[..left]), allowed);
            assert_eq!(plan.gone.len(), deleted, "{left} {allowed}");
            assert_eq!(plan.guard.is_some(), deleted == 0, "{left} {allowed}");
        }
        assert_eq!(
            plan(&known(&files[..3]), &seen(&files[..1]), false)
                .gone
                .len(),
            2
        );
    }

    #[test]
    fn an_id_that_is_too_long_is_refused_by_itself() {
        let long = "x".repeat(600);
        let plan = plan(&known(&[]), &seen(&[(&long, "1"), ("a", "2")]), false);
        assert_eq!(puts(&plan), [("a", "kb/a")]);
        assert_eq!(plan.refused.len(), 1);
    }
}
