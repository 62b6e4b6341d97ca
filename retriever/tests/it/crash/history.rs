//! What the children acknowledged, and what may therefore be there after a kill.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use quoin_retriever::{Access, Page, Retriever, SearchRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings;
use crate::id;

/// A document as it was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub list: String,
    pub text: String,
}

impl State {
    /// The word that no other text has.
    fn word(&self) -> &str {
        self.text.split('.').next().unwrap()
    }
}

/// Documents after an operation; `None` where there is none any more.
pub type Effect = BTreeMap<String, Option<State>>;

/// Texts that are gone and are looked for after every kill.
const GONE: usize = 30;

#[derive(Default)]
pub struct History {
    acknowledged: BTreeMap<String, State>,
    /// By writer: what it was at when the last line came, and what that changes.
    in_flight: BTreeMap<u64, (String, Effect)>,
    gone: VecDeque<State>,
    deleted: Option<(String, State)>,
    /// The last backup that was acknowledged since the last check, and who made it, with what it must hold of its maker's.
    backup: Option<(String, u64, BTreeMap<String, State>)>,
    did: BTreeMap<String, u64>,
    interrupted: BTreeMap<String, u64>,
    opened: bool,
    killed_while_opening: u64,
    whole: u64,
    absent: u64,
}

/// The kind of an operation: backups carry their file's name.
fn kind(said: &str) -> &str {
    if said.starts_with("backup") {
        "backup"
    } else {
        said
    }
}

impl History {
    /// Takes a line of the child, and says whether it acknowledges something.
    pub fn line(&mut self, line: &str) -> bool {
        // What the test harness prints stands before the first one.
        let json = line.find('{').map_or("", |start| &line[start..]);
        let Ok(said) = serde_json::from_str::<Value>(json) else {
            return false;
        };
        self.opened |= said["opened"].is_u64();
        let Some(writer) = said["writer"].as_u64() else {
            return false;
        };
        if let Some(begins) = said["begins"].as_str() {
            let effect = serde_json::from_value(said["effect"].clone()).unwrap();
            self.in_flight.insert(writer, (begins.to_owned(), effect));
            return false;
        }
        let (did, effect) = self.in_flight.remove(&writer).unwrap();
        assert_eq!(said["did"], did.as_str());
        *self.did.entry(kind(&did).to_owned()).or_default() += 1;
        for (name, state) in effect {
            self.take(name, state);
        }
        if kind(&did) == "backup" {
            let own = format!("{writer}/");
            let of_maker = |(name, _): &(&String, &State)| name.starts_with(&own);
            let held = self.acknowledged.iter().filter(of_maker);
            let held = held.map(|(name, state)| (name.clone(), state.clone()));
            self.backup = Some((did, writer, held.collect()));
        }
        true
    }

    /// Notes what a document is now.
    fn take(&mut self, name: String, state: Option<State>) {
        let known = self.acknowledged.get(&name);
        let is_gone = known.filter(|known| state.as_ref().is_none_or(|new| new.text != known.text));
        if let Some(gone) = is_gone.cloned() {
            if state.is_none() {
                self.deleted = Some((name.clone(), gone.clone()));
            }
            self.gone.push_front(gone);
            self.gone.truncate(GONE);
        }
        match state {
            Some(state) => self.acknowledged.insert(name, state),
            None => self.acknowledged.remove(&name),
        };
    }

    /// The last document whose deletion was acknowledged, with its own word, unless it was put again.
    pub fn last_deleted(&self) -> Option<(&str, &str)> {
        let (name, state) = self.deleted.as_ref()?;
        let stays = !self.acknowledged.contains_key(name);
        stays.then_some((name.as_str(), state.word()))
    }

    /// Counts what the kill interrupted.
    pub fn count_in_flight(&mut self) {
        for (begun, _) in self.in_flight.values() {
            *self.interrupted.entry(kind(begun).to_owned()).or_default() += 1;
        }
        self.killed_while_opening += u64::from(!std::mem::take(&mut self.opened));
    }

    /// Holds what is served against what was acknowledged. What was in flight is there as a whole, or not at all; from then on
    /// it counts as what it turned out to be.
    pub fn check(&mut self, retriever: &Retriever) {
        let served = served(retriever);
        for (begun, effect) in std::mem::take(&mut self.in_flight).into_values() {
            let differs = |(name, state): &(&String, &Option<State>)| {
                self.acknowledged.get(*name) != state.as_ref()
            };
            let changed: Vec<_> = effect.iter().filter(differs).collect();
            let done = changed
                .iter()
                .filter(|(name, state)| served.get(*name) == state.as_ref());
            let done = done.count();
            assert!(
                done == 0 || done == changed.len(),
                "{begun} was done for {done} of {changed:?}; there is {served:?}"
            );
            if changed.is_empty() {
                continue;
            }
            if done == 0 {
                self.absent += 1;
                continue;
            }
            self.whole += 1;
            for (name, state) in effect {
                self.take(name, state);
            }
        }
        assert_eq!(served, self.acknowledged);
        self.check_searches(retriever);
        assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
    }

    fn check_searches(&self, retriever: &Retriever) {
        for (name, state) in &self.acknowledged {
            for caller in ["public", "group:few", "user:ann"] {
                let access = Access::of([caller]);
                let may = state.list == caller || state.list == "public";
                let finds = texts_with(retriever, state.word(), &access).contains(name);
                assert_eq!(finds, may, "`{name}` of `{}` for {caller}", state.list);
                let reads = retriever.text(&id(name), &access).ok();
                assert_eq!(reads.as_ref(), may.then_some(&state.text));
            }
        }
        for state in &self.gone {
            let found = texts_with(retriever, state.word(), &Access::admin());
            assert!(found.is_empty(), "{state:?} is gone and found in {found:?}");
        }
    }

    /// The backup that was acknowledged last opens by itself and holds what its maker had acknowledged when it was made.
    pub fn check_backup(&mut self, folder: &Path) {
        if let Some((name, writer, held)) = self.backup.take() {
            let alone = tempfile::tempdir().unwrap();
            std::fs::rename(folder.join(name), alone.path().join("quoin.db")).unwrap();
            let retriever = Retriever::open(alone.path(), settings(0)).unwrap();
            let own = format!("{writer}/");
            let mut there = served(&retriever);
            there.retain(|name, _| name.starts_with(&own));
            assert_eq!(there, held);
            assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
        }
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// Whether the children did enough for the kills to mean something.
    pub fn is_long(&self, kills: u64) -> bool {
        self.did.values().sum::<u64>() > 10 * kills && !self.acknowledged.is_empty()
    }

    pub fn report(&self, kills: u64) -> String {
        let mut report = format!(
            "{kills} kills, {} of them while the child opened the folder\n",
            self.killed_while_opening
        );
        let sum: u64 = self.did.values().sum();
        writeln!(report, "{sum} operations acknowledged: {:?}", self.did).unwrap();
        writeln!(report, "interrupted: {:?}", self.interrupted).unwrap();
        let (whole, absent) = (self.whole, self.absent);
        write!(
            report,
            "of the interrupted changes {whole} were there as a whole, {absent} not at all"
        )
        .unwrap();
        report
    }
}

/// Every document, as `admin` reads it.
fn served(retriever: &Retriever) -> BTreeMap<String, State> {
    let admin = Access::admin();
    let listed = retriever.documents(&admin, &Page::default()).unwrap();
    listed
        .into_iter()
        .map(|document| {
            let list = document.acl.tokens().next().unwrap().to_owned();
            let text = retriever.text(&document.id, &admin).unwrap();
            (document.id.to_string(), State { list, text })
        })
        .collect()
}

/// Documents of the hits that hold a word.
fn texts_with(retriever: &Retriever, word: &str, access: &Access) -> Vec<String> {
    let request = SearchRequest::new(word, 10);
    let hits = retriever.search(&request, access).unwrap().hits;
    hits.into_iter()
        .filter(|hit| hit.text.contains(word))
        .map(|hit| hit.document.to_string())
        .collect()
}
