//! The child: opens a folder, works on it with two writers at once, closes it, and again, until it is killed.

use std::collections::BTreeMap;
use std::path::Path;

use quoin_retriever::{Access, DocumentChange, DocumentInput, Page, Retriever};
use rusqlite::Connection;
use serde_json::json;

use super::history::{Effect, State};
use super::{FOLDER, SEED, settings};
use crate::{id, next, with_acl};

const DOCUMENTS: u64 = 12;
const LISTS: [&str; 3] = ["public", "group:few", "user:ann"];
const WORDS: [&str; 16] = [
    "ledger", "pump", "harbour", "velvet", "quartz", "lantern", "orchard", "saddle", "thunder",
    "cobalt", "meadow", "anvil", "ribbon", "glacier", "walnut", "compass",
];

#[test]
#[ignore = "the child of the test that kills it"]
fn works_until_it_is_killed() {
    let (Ok(folder), Ok(seed)) = (std::env::var(FOLDER), std::env::var(SEED)) else {
        return;
    };
    let seed: u64 = seed.parse().unwrap();
    for session in 0_u64.. {
        let retriever = Retriever::open(folder.as_ref(), settings(seed + session / 2)).unwrap();
        println!("{}", json!({"opened": session}));
        std::thread::scope(|scope| {
            for number in 0..2_u64 {
                let mut writer = Writer {
                    retriever: &retriever,
                    folder: folder.as_ref(),
                    number,
                    state: (seed * 64 + session * 2 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        | 1,
                    prefix: format!("{seed}x{session}x{number}"),
                    there: BTreeMap::new(),
                };
                scope.spawn(move || writer.work());
            }
        });
        drop(retriever);
    }
}

/// Writes documents of its own, beside the other one.
struct Writer<'a> {
    retriever: &'a Retriever,
    folder: &'a Path,
    number: u64,
    state: u64,
    prefix: String,
    there: BTreeMap<String, State>,
}

impl Writer<'_> {
    fn work(&mut self) {
        self.find_own();
        let operations = 20 + self.below(60);
        for count in 0..operations {
            match self.below(64) {
                0..24 => self.put_some(count, 1),
                24..30 => {
                    let some = 2 + self.below(6);
                    self.put_some(count, some);
                }
                30..42 => self.change_list(),
                42..56 => self.delete(),
                56..59 => self.quietly("rebuild", |this| drop(this.retriever.rebuild())),
                // There may be nothing to go back to.
                59..61 => self.quietly("rollback", |this| drop(this.retriever.rollback())),
                61 => self.activate(),
                62 => self.back_up(count),
                _ => self.quietly("verify", |this| {
                    assert!(this.retriever.verify().unwrap().problems.is_empty());
                }),
            }
        }
    }

    fn find_own(&mut self) {
        let admin = Access::admin();
        let own = format!("{}/", self.number);
        for document in self.retriever.documents(&admin, &Page::default()).unwrap() {
            if document.id.as_str().starts_with(&own) {
                let list = document.acl.tokens().next().unwrap().to_owned();
                let text = self.retriever.text(&document.id, &admin).unwrap();
                self.there
                    .insert(document.id.to_string(), State { list, text });
            }
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        next(&mut self.state) % bound
    }

    fn any_name(&mut self) -> String {
        let drawn = self.below(DOCUMENTS);
        format!("{}/d{drawn}", self.number)
    }

    /// Says what is about to change, changes it, and says that it did.
    fn doing(&mut self, kind: &str, effect: Effect, work: impl FnOnce(&Self)) {
        let number = self.number;
        println!(
            "{}",
            json!({"writer": number, "begins": kind, "effect": effect})
        );
        work(self);
        println!("{}", json!({"writer": number, "did": kind}));
        for (name, state) in effect {
            match state {
                Some(state) => self.there.insert(name, state),
                None => self.there.remove(&name),
            };
        }
    }

    fn quietly(&mut self, kind: &str, work: impl FnOnce(&Self)) {
        self.doing(kind, Effect::new(), work);
    }

    fn put_some(&mut self, count: u64, most: u64) {
        let mut effect = Effect::new();
        for part in 0..most {
            let name = self.any_name();
            let list = LISTS[usize::try_from(self.below(3)).unwrap()].to_owned();
            // The first word is of this text alone; one in five texts has several passages.
            let words = if self.below(5) == 0 { 300 } else { 10 };
            let mut text = format!("q{}x{count:03}x{part}.", self.prefix);
            for _ in 0..words {
                text.push(' ');
                text.push_str(WORDS[usize::try_from(self.below(16)).unwrap()]);
            }
            effect.insert(name, Some(State { list, text }));
        }
        let input = |(name, state): (&String, &Option<State>)| -> DocumentInput {
            let state = state.as_ref().unwrap();
            with_acl(name, &state.text, &[&state.list])
        };
        let inputs: Vec<DocumentInput> = effect.iter().map(input).collect();
        let kind = if most == 1 { "put" } else { "put batch" };
        self.doing(kind, effect, |this| {
            for stored in this.retriever.put_batch(inputs).unwrap() {
                stored.unwrap();
            }
        });
    }

    fn change_list(&mut self) {
        let name = self.any_name();
        let list = LISTS[usize::try_from(self.below(3)).unwrap()].to_owned();
        let Some(before) = self.there.get(&name).cloned() else {
            return;
        };
        let change = DocumentChange {
            acl: Some(Some(vec![list.clone()])),
            ..DocumentChange::default()
        };
        let effect = Effect::from([(name.clone(), Some(State { list, ..before }))]);
        self.doing("change list", effect, |this| {
            let changed = this
                .retriever
                .change_as(&id(&name), change, &Access::admin());
            changed.unwrap();
        });
    }

    fn delete(&mut self) {
        let name = self.any_name();
        if self.there.contains_key(&name) {
            let effect = Effect::from([(name.clone(), None)]);
            self.doing("delete", effect, |this| {
                let receipt = this.retriever.delete(&id(&name), &Access::admin());
                receipt.unwrap();
            });
        }
    }

    /// Serves from any snapshot that is kept, also one of the other pipeline.
    fn activate(&mut self) {
        let drawn = self.below(4);
        self.quietly("activate", |this| {
            // One that is listed may be removed before it is read.
            let kept = this.retriever.generations().unwrap_or_default();
            if let Some(chosen) = kept.get(usize::try_from(drawn).unwrap() % kept.len().max(1)) {
                drop(this.retriever.activate(chosen.number));
            }
        });
    }

    /// As the program around the retriever does: a copy by SQLite, which is then noted.
    fn back_up(&mut self, count: u64) {
        let name = format!("backup-{}-{count}.db", self.prefix);
        let path = self.folder.with_file_name(&name);
        self.quietly(&name, |this| {
            let database = Connection::open(this.folder.join("quoin.db")).unwrap();
            let sql = format!("VACUUM INTO '{}'", path.display());
            database.execute_batch(&sql).unwrap();
            let copy = Connection::open(&path).unwrap();
            let sql = "SELECT value FROM retriever_meta WHERE name = 'generation'";
            let generation: i64 = copy.query_row(sql, [], |row| row.get(0)).unwrap();
            let path = path.to_string_lossy().into_owned();
            this.retriever
                .note_backup(path, generation.cast_unsigned())
                .unwrap();
        });
    }
}
